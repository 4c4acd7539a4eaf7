use proptest::prelude::*;
use serde_json::json;

use crate::Usage;
use crate::json::Raw;
use crate::openai::usage;

fn used(text: &str) -> Option<Usage> {
    let raw: Raw<'_> = serde_json::from_str(text).unwrap();
    usage::parse(raw)
}

#[test]
fn overlapping_counters_become_disjoint_parts() {
    let plain = Usage::plain(10, 5);
    let cases = [
        (
            "plain",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
            plain,
        ),
        (
            "floats",
            r#"{"prompt_tokens":10.0,"completion_tokens":5}"#,
            plain,
        ),
        (
            "total only",
            r#"{"completion_tokens":5,"total_tokens":15}"#,
            plain,
        ),
        (
            "details",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}}"#,
            Usage {
                input_uncached: Some(5),
                cache_read: Some(4),
                audio_input: Some(1),
                output_text: Some(3),
                reasoning: Some(2),
                audio_output: Some(0),
                ..Usage::default()
            },
        ),
        (
            "reasoning beside completion",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}"#,
            Usage {
                output_text: Some(5),
                reasoning: Some(7),
                ..plain
            },
        ),
        (
            "details over the total",
            r#"{"prompt_tokens":3,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}"#,
            Usage {
                input_uncached: Some(0),
                cache_read: Some(3),
                inconsistent: true,
                ..plain
            },
        ),
        (
            "cache hits by DeepSeek's name",
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4}"#,
            Usage {
                input_uncached: Some(4),
                cache_read: Some(6),
                ..plain
            },
        ),
        (
            "embeddings",
            r#"{"prompt_tokens":8,"total_tokens":8}"#,
            Usage {
                input_uncached: Some(8),
                ..Usage::default()
            },
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(used(text), Some(expected), "{name}");
    }
    for nothing in ["null", "{}", "[]", "7", r#"{"prompt_tokens":-1}"#] {
        assert_eq!(used(nothing), None, "{nothing}");
    }
}

proptest! {
    #[test]
    fn parts_add_up_to_the_totals(prompt in 0..1000_u64, completion in 0..1000_u64, parts in any::<[u16; 5]>()) {
        let text = json!({
            "prompt_tokens": prompt, "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": parts[0] % 600, "audio_tokens": parts[1] % 600, "cache_creation_tokens": parts[2] % 600},
            "completion_tokens_details": {"reasoning_tokens": parts[3] % 1200, "audio_tokens": parts[4] % 600},
        }).to_string();
        let usage = used(&text).unwrap();
        prop_assert_eq!(usage.prompt_tokens(), prompt);
        prop_assert_eq!(usage.completion_tokens(), completion);
    }
}
