//! When a budget's windows begin and end.
//!
//! A window is a function of its period, of the operator's calendar and of the time: nothing is stored, nothing has to run at
//! midnight, and every replica means the same window. Source: contract `auth-budgets-limits` §5.1, which aligns windows with
//! the calendar instead of counting from the first use.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::clock::{UnixMs, whole_millis};

/// Seconds of a day without a change of the clocks.
const DAY_SECS: i64 = 86_400;

/// How often a budget begins anew.
///
/// | written | windows begin |
/// | --- | --- |
/// | `30s`, `5m`, `2h` | at multiples of it in the day's clock; where a day is no multiple of it, in the clock since 1970 |
/// | `1d` | every day |
/// | `7d`, `1w` | on Mondays |
/// | `30d`, `1mo` | on the first of each month |
/// | other `d`, `w` | every so many days, counted from the day on which the budget was given |
/// | other `mo` | on the first, every so many months, counted from the month in which the budget was given |
///
/// `hourly`, `daily`, `weekly` and `monthly` are `1h`, `1d`, `7d` and `1mo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    count: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
    Months,
}

/// The text is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a period is a whole number with s, m, h, d, w or mo behind it, such as 30d, or hourly, daily, weekly or monthly; got `{text}`"
)]
pub struct InvalidPeriod {
    text: String,
}

/// Where and when the operator's days begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// In whose midnight.
    pub zone: TimeZone,
    /// How long after midnight days, weeks and months begin.
    pub day_begins: Time,
}

/// How windows follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Windows {
    /// One that never ends.
    Endless,
    /// Of one length each, counted from 1970 on.
    Fixed(Duration),
    /// By the calendar.
    Calendar {
        /// How long each is.
        period: Period,
        /// Whose days.
        calendar: Calendar,
        /// When the budget was given.
        since: UnixMs,
    },
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first millisecond; 0 for the endless one.
    pub start: UnixMs,
    /// The first millisecond behind it.
    pub end: Option<UnixMs>,
}

// === impl Period ===

impl Period {
    /// Its usual length: a month has 30 days.
    pub fn usual_length(self) -> Duration {
        let unit = match self.unit {
            Unit::Seconds => 1,
            Unit::Minutes => 60,
            Unit::Hours => 3_600,
            Unit::Days => 86_400,
            Unit::Weeks => 7 * 86_400,
            Unit::Months => 30 * 86_400,
        };
        Duration::from_secs(u64::from(self.count).saturating_mul(unit))
    }

    /// The window of whole days that `today` lies in: its first day and the one behind it. `since` is the day on which the
    /// budget was given. `None` for periods shorter than a day, and beyond what calendars know.
    fn days(self, today: Date, since: Date) -> Option<(Date, Date)> {
        let count = i64::from(self.count);
        let days = |first: Date, length: i64| {
            let passed = days_between(first, today).div_euclid(length);
            let start = first.checked_add(Span::new().try_days(passed.checked_mul(length)?).ok()?);
            let start = start.ok()?;
            let end = start.checked_add(Span::new().try_days(length).ok()?).ok()?;
            Some((start, end))
        };
        let months = |length: i64| {
            let month = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
            let passed = (month(today) - month(since)).div_euclid(length);
            let passed = Span::new().try_months(passed.checked_mul(length)?).ok()?;
            let start = since.first_of_month().checked_add(passed).ok()?;
            let end = start
                .checked_add(Span::new().try_months(length).ok()?)
                .ok()?;
            Some((start, end))
        };
        match (self.unit, count) {
            (Unit::Seconds | Unit::Minutes | Unit::Hours, _) => None,
            // 1970-01-05 was a Monday.
            (Unit::Days, 7) | (Unit::Weeks, 1) => days(Date::constant(1970, 1, 5), 7),
            (Unit::Days, 30) => months(1),
            (Unit::Days, count) => days(since, count),
            (Unit::Weeks, count) => days(since, count.checked_mul(7)?),
            (Unit::Months, count) => months(count),
        }
    }

    /// Its length, for periods shorter than a day.
    fn seconds(self) -> Option<i64> {
        match self.unit {
            Unit::Seconds | Unit::Minutes | Unit::Hours => {
                i64::try_from(self.usual_length().as_secs()).ok()
            }
            Unit::Days | Unit::Weeks | Unit::Months => None,
        }
    }
}

fn days_between(first: Date, last: Date) -> i64 {
    last.duration_since(first).as_secs().div_euclid(DAY_SECS)
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = match text.trim() {
            "hourly" => "1h",
            "daily" => "1d",
            "weekly" => "7d",
            "monthly" => "1mo",
            text => text,
        };
        let invalid = || InvalidPeriod {
            text: text.chars().take(40).collect(),
        };
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(invalid)?;
        let (count, unit) = text.split_at_checked(digits).ok_or_else(invalid)?;
        let unit = match unit {
            "s" => Unit::Seconds,
            "m" => Unit::Minutes,
            "h" => Unit::Hours,
            "d" => Unit::Days,
            "w" => Unit::Weeks,
            "mo" => Unit::Months,
            _ => return Err(invalid()),
        };
        let count: u32 = count.parse().map_err(|_err| invalid())?;
        let period = Self { count, unit };
        // A thousand years is as good as no end, and calendars end at 9999.
        let most = Duration::from_hours(1_000 * 366 * 24);
        if count == 0 || period.usual_length() > most {
            return Err(invalid());
        }
        Ok(period)
    }
}

/// As it is written: `30d`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Seconds => "s",
            Unit::Minutes => "m",
            Unit::Hours => "h",
            Unit::Days => "d",
            Unit::Weeks => "w",
            Unit::Months => "mo",
        };
        write!(f, "{}{unit}", self.count)
    }
}

// === impl Calendar ===

impl Default for Calendar {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            day_begins: Time::midnight(),
        }
    }
}

impl Calendar {
    fn window(&self, period: Period, since: UnixMs, now: UnixMs) -> Option<Window> {
        match period.seconds() {
            Some(length) => self.clock_window(length, timestamp(now)?),
            None => self.day_window(period, since, now),
        }
    }

    /// Counted by the clock on the wall, which windows do not reach over where it is set forward or back.
    fn clock_window(&self, length: i64, now: Timestamp) -> Option<Window> {
        let offset = self.zone.to_offset(now);
        let wall = offset.to_datetime(now);
        let first_day = match DAY_SECS % length {
            0 => wall.date(),
            _ => Date::constant(1970, 1, 1),
        };
        let origin = first_day.to_datetime(Time::midnight());
        let passed = wall.duration_since(origin).as_secs().div_euclid(length);
        let start = origin.checked_add(SignedDuration::from_secs(passed.checked_mul(length)?));
        let start = start.ok()?;
        let end = start.checked_add(SignedDuration::from_secs(length)).ok()?;
        let start = offset.to_timestamp(start).ok()?;
        let end = offset.to_timestamp(end).ok()?;
        // `preceding` is strictly before: a change at this very moment counts too.
        let next_moment = now.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let change = self.zone.preceding(next_moment).next();
        let next_change = self.zone.following(now).next();
        let start = change.map_or(start, |change| start.max(change.timestamp()));
        let end = next_change.map_or(end, |change| end.min(change.timestamp()));
        Some(Window {
            start: unix_ms(start),
            end: Some(unix_ms(end)),
        })
    }

    fn day_window(&self, period: Period, since: UnixMs, now: UnixMs) -> Option<Window> {
        let since = self.day(since)?;
        let today = self.day(now)?;
        let window = |day: Date| {
            let (first, behind) = period.days(day, since)?;
            Some((self.beginning(first)?, self.beginning(behind)?, behind))
        };
        let (start, end, behind) = window(today)?;
        // A day that begins while the clocks are changed begins once: by `beginning`, not by the clock on the wall.
        let (start, end, _) = if now < start {
            window(today.yesterday().ok()?)?
        } else if end <= now {
            window(behind)?
        } else {
            (start, end, behind)
        };
        Some(Window {
            start,
            end: Some(end),
        })
    }

    /// The operator's day.
    fn day(&self, at: UnixMs) -> Option<Date> {
        let wall = self.zone.to_datetime(timestamp(at)?);
        let since_midnight = self.day_begins.duration_since(Time::midnight());
        Some(wall.checked_sub(since_midnight).ok()?.date())
    }

    /// When that day begins. Where the clocks are set back, the first of both times counts; where they are set forward, the
    /// one behind the gap.
    fn beginning(&self, day: Date) -> Option<UnixMs> {
        let at = self.zone.to_timestamp(day.to_datetime(self.day_begins));
        Some(unix_ms(at.ok()?))
    }
}

fn timestamp(at: UnixMs) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}

/// Times before 1970 are its first moment.
fn unix_ms(at: Timestamp) -> UnixMs {
    UnixMs(u64::try_from(at.as_millisecond()).unwrap_or_default())
}

// === impl Windows ===

impl Windows {
    /// The window that `now` lies in.
    pub fn at(&self, now: UnixMs) -> Window {
        match self {
            Self::Endless => Window::ENDLESS,
            Self::Fixed(length) => {
                let length = whole_millis(*length).max(1);
                let start = now.0 / length * length;
                Window {
                    start: UnixMs(start),
                    end: Some(UnixMs(start.saturating_add(length))),
                }
            }
            // Beyond what calendars know nothing begins anew.
            Self::Calendar {
                period,
                calendar,
                since,
            } => calendar
                .window(*period, *since, now)
                .unwrap_or(Window::ENDLESS),
        }
    }
}

// === impl Window ===

impl Window {
    const ENDLESS: Self = Self {
        start: UnixMs(0),
        end: None,
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UnixMs {
        let at: Timestamp = text.parse().unwrap();
        UnixMs(u64::try_from(at.as_millisecond()).unwrap())
    }

    fn windows(period: &str, zone: &str, day_begins: &str, since: &str) -> Windows {
        Windows::Calendar {
            period: period.parse().unwrap(),
            calendar: Calendar {
                zone: TimeZone::get(zone).unwrap(),
                day_begins: day_begins.parse().unwrap(),
            },
            since: at(since),
        }
    }

    #[test]
    fn windows_are_those_of_the_contract() {
        // 2026-11-23 is a Monday; the budgets are given on Thursday the 5th.
        let cases = [
            (
                "30s",
                "2026-11-23T10:00:40Z",
                "2026-11-23T10:00:30Z",
                "2026-11-23T10:01:00Z",
            ),
            (
                "5m",
                "2026-11-23T10:07:00Z",
                "2026-11-23T10:05:00Z",
                "2026-11-23T10:10:00Z",
            ),
            (
                "2h",
                "2026-11-23T11:59:59Z",
                "2026-11-23T10:00:00Z",
                "2026-11-23T12:00:00Z",
            ),
            (
                "24h",
                "2026-11-23T11:59:59Z",
                "2026-11-23T00:00:00Z",
                "2026-11-24T00:00:00Z",
            ),
            (
                "1d",
                "2026-11-23T23:59:59Z",
                "2026-11-23T00:00:00Z",
                "2026-11-24T00:00:00Z",
            ),
            (
                "daily",
                "2026-11-24T00:00:00Z",
                "2026-11-24T00:00:00Z",
                "2026-11-25T00:00:00Z",
            ),
            (
                "7d",
                "2026-11-29T23:00:00Z",
                "2026-11-23T00:00:00Z",
                "2026-11-30T00:00:00Z",
            ),
            (
                "1w",
                "2026-11-23T00:00:00Z",
                "2026-11-23T00:00:00Z",
                "2026-11-30T00:00:00Z",
            ),
            (
                "30d",
                "2026-11-23T10:00:00Z",
                "2026-11-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                "monthly",
                "2028-02-29T10:00:00Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                "10d",
                "2026-11-23T10:00:00Z",
                "2026-11-15T00:00:00Z",
                "2026-11-25T00:00:00Z",
            ),
            (
                "2w",
                "2026-11-23T10:00:00Z",
                "2026-11-19T00:00:00Z",
                "2026-12-03T00:00:00Z",
            ),
            (
                "3mo",
                "2027-02-01T00:00:00Z",
                "2027-02-01T00:00:00Z",
                "2027-05-01T00:00:00Z",
            ),
            (
                "3mo",
                "2027-01-31T00:00:00Z",
                "2026-11-01T00:00:00Z",
                "2027-02-01T00:00:00Z",
            ),
        ];
        for (period, now, start, end) in cases {
            let window = windows(period, "UTC", "00:00", "2026-11-05T15:00:00Z").at(at(now));
            assert_eq!(window.start, at(start), "{period} at {now}");
            assert_eq!(window.end, Some(at(end)), "{period} at {now}");
        }
    }

    #[test]
    fn days_are_those_of_the_operators_zone_and_begin_when_the_operator_says() {
        let cases = [
            (
                "1d",
                "Europe/Berlin",
                "00:00",
                "2026-11-23T22:59:59Z",
                "2026-11-22T23:00:00Z",
            ),
            (
                "1d",
                "Europe/Berlin",
                "00:00",
                "2026-11-23T23:00:00Z",
                "2026-11-23T23:00:00Z",
            ),
            // The day on which the clocks are set back has 25 hours.
            (
                "1d",
                "Europe/Berlin",
                "00:00",
                "2026-10-25T22:59:59Z",
                "2026-10-24T22:00:00Z",
            ),
            (
                "1h",
                "Europe/Berlin",
                "00:00",
                "2026-10-25T00:30:00Z",
                "2026-10-25T00:00:00Z",
            ),
            (
                "1h",
                "Europe/Berlin",
                "00:00",
                "2026-10-25T01:30:00Z",
                "2026-10-25T01:00:00Z",
            ),
            // The one on which they are set forward has no two o'clock.
            (
                "2h",
                "Europe/Berlin",
                "00:00",
                "2026-03-29T01:10:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (
                "30d",
                "America/New_York",
                "00:00",
                "2026-12-01T04:59:59Z",
                "2026-11-01T04:00:00Z",
            ),
            (
                "1d",
                "UTC",
                "06:30",
                "2026-11-23T06:29:59Z",
                "2026-11-22T06:30:00Z",
            ),
            (
                "1mo",
                "UTC",
                "06:30",
                "2026-12-01T06:00:00Z",
                "2026-11-01T06:30:00Z",
            ),
        ];
        for (period, zone, day_begins, now, start) in cases {
            let window = windows(period, zone, day_begins, "2026-01-05T15:00:00Z").at(at(now));
            assert_eq!(window.start, at(start), "{period} in {zone} at {now}");
        }
    }

    #[test]
    fn what_is_no_period_is_refused_with_what_to_write() {
        for text in [
            "",
            "d",
            "0d",
            "30",
            "-1d",
            "1y",
            "1 d",
            "99999999999d",
            "4294967295mo",
        ] {
            let err = text.parse::<Period>().unwrap_err();
            assert!(err.to_string().contains("such as 30d"), "{text}");
        }
        for text in ["30s", "5m", "12h", "30d", "4w", "1mo"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    proptest! {
        /// Windows of any period, in any zone, follow each other without gaps, and each lasts.
        #[test]
        fn a_window_holds_its_time_and_ends_where_the_next_one_begins(
            count in 1..60_u32,
            unit in prop::sample::select(vec!["s", "m", "h", "d", "w", "mo"]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
            begins in prop::sample::select(vec!["00:00", "02:30", "23:59"]),
            // Half of the times are near a change of Berlin's clocks.
            now in prop_oneof![
                1_600_000_000_000_u64..2_200_000_000_000,
                (1_792_886_400_000_u64..1_792_908_000_000),
                (1_774_742_400_000_u64..1_774_764_000_000),
            ],
            since in 1_500_000_000_000_u64..2_300_000_000_000,
        ) {
            let windows = Windows::Calendar {
                period: format!("{count}{unit}").parse().unwrap(),
                calendar: Calendar {
                    zone: TimeZone::get(zone).unwrap(),
                    day_begins: begins.parse().unwrap(),
                },
                since: UnixMs(since),
            };
            let window = windows.at(UnixMs(now));
            let end = window.end.unwrap();
            prop_assert!(window.start.0 <= now && now < end.0, "{:?}", window);
            prop_assert_eq!(windows.at(end).start, end);
            prop_assert_eq!(windows.at(window.start), window);
            prop_assert_eq!(windows.at(UnixMs(end.0 - 1)), window);
        }
    }
}
