//! Lengths of time as LiteLLM writes them: `30s`, `30m`, `12h`, `30d`, `4w`, `1mo`.

use std::time::Duration;

use super::report::Report;
use super::yaml::KeyPath;

/// What goes by whole days is kept this long at least.
pub(super) const A_DAY: Duration = Duration::from_secs(DAY);

const DAY: u64 = 24 * 60 * 60;
/// What a month counts: windows of one length need no calendar.
const MONTH: u64 = 30 * DAY;

/// What to write instead of what is no span.
pub(super) const FIX: &str = "write a number and a unit, such as 30s, 30m, 12h, 30d, 4w or 1mo";

/// A number above zero and a unit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = match text {
        "hourly" => "1h",
        "daily" => "1d",
        "weekly" => "7d",
        "monthly" => "1mo",
        text => text,
    };
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY,
        "w" => 7 * DAY,
        "mo" => MONTH,
        _ => return None,
    };
    (number > 0).then(|| Duration::from_secs(u64::from(number).saturating_mul(seconds)))
}

/// Reads a key; what is no span is said.
pub(super) fn read(text: Option<&str>, key: &KeyPath, report: &mut Report<'_>) -> Option<Duration> {
    let span = parse(text?.trim());
    if span.is_none() {
        report.problem(key, "is not a length of time", FIX);
    }
    span
}

/// Reads how long something is kept that goes by whole days.
pub(super) fn days(text: Option<&str>, key: &KeyPath, report: &mut Report<'_>) -> Option<Duration> {
    let span = read(text, key, report)?;
    if span < A_DAY {
        report.problem(
            key,
            "is shorter than a day",
            "write 1d or more, such as 30d: rows go by whole days",
        );
    }
    Some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("2h", Some(7_200)),
            ("1w", Some(604_800)),
            ("1mo", Some(2_592_000)),
            ("daily", Some(86_400)),
            ("0d", None),
            ("d", None),
            ("5", None),
            ("5y", None),
            ("-5d", None),
        ] {
            assert_eq!(parse(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
