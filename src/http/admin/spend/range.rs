//! Reads what queries say about time: days and moments. What is wrong is said by name, with what to write.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use trunkline_actors::clock::UnixMs;

use crate::http::admin::query::{text, wrong};
use crate::http::error::ApiError;
use crate::http::extract::Call;
use crate::storage::reports::Days;

const DAY_MS: u64 = 86_400_000;
/// The longest stretch that is summed at once.
const MOST_DAYS: u64 = 366;
/// How far back lists look that are asked for without dates (LiteLLM's views are of a month).
const MONTH: i64 = 30;

/// Today, in days since 1970-01-01 UTC.
pub(super) fn today() -> i64 {
    i64::try_from(UnixMs::now().0 / DAY_MS).unwrap_or(i64::MAX)
}

/// The last month and today.
pub(super) fn last_month() -> Days {
    let last = today();
    Days {
        first: last - MONTH,
        last,
    }
}

/// From the first day on.
pub(in crate::http::admin) fn ever() -> Days {
    Days {
        first: 0,
        last: today(),
    }
}

/// `start_date` and `end_date`, both of them or neither.
pub(super) fn dates(call: &Call) -> Result<Option<Days>, ApiError> {
    let first = day(call, "start_date")?;
    let last = day(call, "end_date")?;
    match (first, last) {
        (None, None) => Ok(None),
        (Some(first), Some(last)) => checked(Days { first, last }).map(Some),
        (None, Some(_)) => Err(missing("start_date")),
        (Some(_), None) => Err(missing("end_date")),
    }
}

/// `start_date` and `end_date`, which must be there.
pub(super) fn required_dates(call: &Call) -> Result<Days, ApiError> {
    dates(call)?.ok_or_else(|| missing("start_date"))
}

fn missing(param: &'static str) -> ApiError {
    wrong(
        param,
        "Please provide start_date and end_date, as YYYY-MM-DD.",
    )
}

fn checked(days: Days) -> Result<Days, ApiError> {
    if days.last < days.first {
        return Err(wrong(
            "end_date",
            "end_date is before start_date; write a date on it or after it.",
        ));
    }
    if days.count() > MOST_DAYS {
        return Err(wrong(
            "start_date",
            format!("From start_date to end_date are more than {MOST_DAYS} days; ask for fewer."),
        ));
    }
    Ok(days)
}

/// A date in the query.
fn day(call: &Call, name: &'static str) -> Result<Option<i64>, ApiError> {
    text(call, name)
        .map(|text| {
            parse_day(&text)
                .ok_or_else(|| wrong(name, format!("'{name}' is no date; write YYYY-MM-DD.")))
        })
        .transpose()
}

/// The day of a date or of an ISO 8601 time.
pub(super) fn day_of_time(text: &str) -> Option<i64> {
    text.get(..10).and_then(parse_day)
}

/// Days since 1970-01-01.
fn parse_day(text: &str) -> Option<i64> {
    let is_plain = text.len() == 10 && text.is_ascii();
    let date: Date = is_plain.then(|| text.parse().ok())??;
    days_since_epoch(date)
}

fn days_since_epoch(date: Date) -> Option<i64> {
    let days = Date::constant(1970, 1, 1).until(date).ok()?.get_days();
    (days >= 0).then(|| days.into())
}

/// The date of a day counted from 1970-01-01.
pub(super) fn date(day: i64) -> Date {
    let days = i32::try_from(day).unwrap_or(i32::MAX);
    Date::constant(1970, 1, 1)
        .checked_add(jiff::Span::new().try_days(days).unwrap_or_default())
        .unwrap_or(Date::MAX)
}

/// A moment in the query, `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`: the first one that is not part of it any more, if `end`.
pub(in crate::http::admin) fn moment(
    call: &Call,
    name: &'static str,
    end: bool,
) -> Result<Option<UnixMs>, ApiError> {
    let Some(text) = text(call, name) else {
        return Ok(None);
    };
    let unix = |at: DateTime| {
        let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
        u64::try_from(at.as_millisecond()).ok()
    };
    let at = if let Some(day) = parse_day(&text) {
        let days = u64::try_from(day + i64::from(end)).ok();
        days.and_then(|days| days.checked_mul(DAY_MS))
    } else {
        let text = text.trim_end_matches('Z').replacen('T', " ", 1);
        let is_plain = text.len() == 19 && text.is_ascii();
        let at = is_plain.then(|| text.parse::<DateTime>().ok()).flatten();
        at.and_then(unix).map(|at| at + if end { 1_000 } else { 0 })
    };
    at.map(|at| Some(UnixMs(at))).ok_or_else(|| {
        wrong(
            name,
            format!("'{name}' is no time; write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, in UTC."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_dates_of_the_calendar_are_days() {
        for (text, want) in [
            ("1970-01-01", Some(0)),
            ("2026-11-23", Some(20_780)),
            ("2024-02-29", Some(19_782)),
            ("2026-02-29", None),
            ("2026-11-3", None),
            ("20261123", None),
            ("2026-11-23T00:00:00", None),
            ("1969-12-31", None),
            ("", None),
        ] {
            assert_eq!(parse_day(text), want, "{text}");
        }
    }

    #[test]
    fn a_day_and_its_date_are_the_same() {
        for day in [0, 1, 19_782, 20_780, 40_000] {
            assert_eq!(days_since_epoch(date(day)), Some(day));
        }
    }
}
