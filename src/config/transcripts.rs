//! `trunkline.transcripts`: whether and how what is asked and answered is kept.

use std::time::Duration;

use super::env::Env;
use super::model::TranscriptSettings;
use super::raw::{RawGeneral, RawLitellm, RawTranscripts};
use super::report::Report;
use super::span;
use super::yaml::KeyPath;

/// Nothing that people read is shorter.
const LEAST_CHARS: u64 = 16;
/// A body can be told by this much.
const LEAST_BODY_BYTES: u64 = 1024;
/// A few requests fit.
const LEAST_BUFFER_BYTES: u64 = 1 << 20;

/// `None`: nothing is kept.
pub(super) fn transcripts(
    raw: &RawTranscripts,
    general: &RawGeneral,
    litellm: &RawLitellm,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<TranscriptSettings> {
    let here = KeyPath::of(&["trunkline", "transcripts"]);
    let default = TranscriptSettings::default();
    let mut least = |key: &str, value: Option<u64>, least: u64, default: usize| {
        if value.is_some_and(|value| value < least) {
            let fix = format!("write {least} or more");
            report.problem(&here.key(key), "is too small", fix);
        }
        value
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(default)
    };
    let from_env = env
        .var("MAX_STRING_LENGTH_PROMPT_IN_DB")
        .and_then(|chars| chars.trim().parse().ok());
    let settings = TranscriptSettings {
        max_text_chars: least(
            "max_text_chars",
            raw.max_text_chars.or(from_env),
            LEAST_CHARS,
            default.max_text_chars,
        ),
        max_body_bytes: least(
            "max_body_bytes",
            raw.max_body_bytes,
            LEAST_BODY_BYTES,
            default.max_body_bytes,
        ),
        buffer_bytes: least(
            "buffer_bytes",
            raw.buffer_bytes,
            LEAST_BUFFER_BYTES,
            default.buffer_bytes,
        ),
        retention: Duration::ZERO,
    };
    let retention = span::days(raw.retention.as_deref(), &here.key("retention"), report);
    let is_on = general
        .store_prompts_in_spend_logs
        .unwrap_or_else(|| env.is_on("STORE_PROMPTS_IN_SPEND_LOGS"));
    let is_off_the_record = litellm.turn_off_message_logging.unwrap_or(false);
    (is_on && !is_off_the_record).then_some(TranscriptSettings {
        retention: retention.unwrap_or(default.retention),
        ..settings
    })
}
