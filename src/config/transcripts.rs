//! `trunkline.transcripts`: whether and how what is asked and answered is kept.

use super::env::Env;
use super::model::TranscriptSettings;
use super::raw::{RawGeneral, RawLitellm, RawTranscripts};
use super::report::Report;
use super::settings::number;
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
    let text_chars = raw.max_text_chars.or_else(|| text_chars(env, report));
    let mut least = |key: &str, value: Option<u64>, least: u64, default: usize| {
        if value.is_some_and(|value| value < least) {
            let fix = format!("write {least} or more");
            report.problem(&here.key(key), "is too small", fix);
        }
        value
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(default)
    };
    let max_text_chars = least(
        "max_text_chars",
        text_chars,
        LEAST_CHARS,
        default.max_text_chars,
    );
    let max_body_bytes = least(
        "max_body_bytes",
        raw.max_body_bytes,
        LEAST_BODY_BYTES,
        default.max_body_bytes,
    );
    let buffer_bytes = least(
        "buffer_bytes",
        raw.buffer_bytes,
        LEAST_BUFFER_BYTES,
        default.buffer_bytes,
    );
    let retention = span::days(raw.retention.as_deref(), &here.key("retention"), report);
    let is_on = general
        .store_prompts_in_spend_logs
        .unwrap_or_else(|| env.is_on("STORE_PROMPTS_IN_SPEND_LOGS"));
    let is_off_the_record = litellm.turn_off_message_logging.unwrap_or(false);
    (is_on && !is_off_the_record).then_some(TranscriptSettings {
        max_text_chars,
        max_body_bytes,
        buffer_bytes,
        retention: retention.unwrap_or(default.retention),
    })
}

/// LiteLLM's variable counts where the file says nothing.
fn text_chars(env: &dyn Env, report: &mut Report<'_>) -> Option<u64> {
    let name = "MAX_STRING_LENGTH_PROMPT_IN_DB";
    let chars = number(env, name, report)?;
    if chars < LEAST_CHARS {
        report.problem_outside(
            name,
            "is too small",
            format!("set {LEAST_CHARS} or more, or remove it"),
        );
        return None;
    }
    Some(chars)
}

#[cfg(test)]
mod tests {
    use super::super::{CliOverrides, ConfigSource, MapEnv, load};

    #[test]
    fn what_the_variable_says_is_a_number_and_enough_or_a_mistake_of_that_variable() {
        let text = "model_list: [{model_name: a, litellm_params: {model: openai/m, api_key: k}}]\n\
                    general_settings: {store_prompts_in_spend_logs: true}\n";
        let kept = |chars: &str| {
            let env = MapEnv::new([("MAX_STRING_LENGTH_PROMPT_IN_DB", chars)]);
            let source = ConfigSource::Text {
                name: "config.yaml",
                text,
            };
            let loaded = load(source, &CliOverrides::default(), &env);
            loaded
                .map(|config| config.transcripts.unwrap().max_text_chars)
                .map_err(|err| err.to_string())
        };
        assert_eq!(kept(" 100 "), Ok(100));
        assert_eq!(kept(""), Ok(2048));
        for (chars, said) in [("many", "is not a number"), ("3", "is too small; set 16")] {
            let err = kept(chars).unwrap_err();
            assert!(err.contains("MAX_STRING_LENGTH_PROMPT_IN_DB: "), "{err}");
            assert!(err.contains(said), "{err}");
            assert!(!err.contains("trunkline.transcripts"), "{err}");
        }
    }
}
