//! No text is too much.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::{env, with};

/// Loads `text` and says how long that took; what comes out does not matter.
fn endured(text: &str) -> Duration {
    let start = SystemTime::now();
    drop(with(text, &env()));
    start.elapsed().unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn no_text_runs_long() {
    const MEGABYTES: usize = 1024 * 1024;
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for level in 1..40 {
        let before = level - 1;
        writeln!(
            bomb,
            "a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]"
        )
        .unwrap();
    }
    let mut merges = String::from("a0: &a0 {k: v}\n");
    for level in 1..30 {
        let before = level - 1;
        writeln!(
            merges,
            "a{level}: &a{level} {{<<: [*a{before}, *a{before}], k{level}: *a{before}}}"
        )
        .unwrap();
    }
    // So many values that the parser lets aliases unfold far.
    let padded = format!(
        "{}{bomb}",
        "p: [x, x, x, x, x, x, x, x, x, x]\n".repeat(10_000)
    );
    let lines = |line: &dyn Fn(usize) -> String, bytes: usize| {
        let mut text = String::new();
        let mut number = 0;
        while text.len() < bytes {
            text.push_str(&line(number));
            number += 1;
        }
        text
    };
    for (name, text) in [
        ("alias bomb", bomb),
        ("bomb of merges", merges),
        ("bomb behind much else", padded),
        ("depth in brackets", "[".repeat(10_000)),
        ("depth in braces", "{a: ".repeat(10_000)),
        (
            "depth by indentation",
            lines(
                &|number| format!("{}a:\n", " ".repeat(number % 10_000)),
                MEGABYTES,
            ),
        ),
        ("depth in dashes", format!("a: {}1\n", "- ".repeat(10_000))),
        ("10 MB of one word", "a".repeat(10 * MEGABYTES)),
        (
            "10 MB of keys",
            lines(&|number| format!("k{number}: 1\n"), 10 * MEGABYTES),
        ),
        (
            "many unknown keys",
            lines(&|number| format!("k{number}: 1\n"), MEGABYTES / 8),
        ),
        (
            "one key again and again",
            lines(&|_| "model_list: 1\n".to_owned(), MEGABYTES / 2),
        ),
        (
            "many repeated keys",
            lines(&|number| format!("k{}: 1\n", number / 2), MEGABYTES / 8),
        ),
        (
            "many wrong values",
            format!(
                "litellm_settings: {{fallbacks: [{}]}}\n",
                "{a: [[1]]}, ".repeat(500)
            ),
        ),
        (
            "many wrong entries",
            lines(
                &|number| {
                    if number == 0 {
                        "model_list:\n".to_owned()
                    } else {
                        "- {model_name: a, litellm_params: {model: x, rpm: y}}\n".to_owned()
                    }
                },
                MEGABYTES / 4,
            ),
        ),
        (
            "many unset variables",
            lines(
                &|number| {
                    if number == 0 {
                        "model_list:\n".to_owned()
                    } else {
                        format!(
                            "- {{model_name: a, litellm_params: {{model: groq/x, api_key: os.environ/V{number}}}}}\n"
                        )
                    }
                },
                MEGABYTES / 8,
            ),
        ),
        (
            "many old words",
            format!(
                "model_list:\n- {{model_name: a, litellm_params: {{model: gpt-4o, stop: [{}]}}}}\n",
                "yes, ".repeat(50_000)
            ),
        ),
    ] {
        let took = endured(&text);
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
    }
}

fn yaml_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "model_list",
        "litellm_params",
        "model",
        "model_name",
        "gpt-4o",
        "openai/*",
        "api_key",
        "os.environ/X",
        "os.environ/",
        "environment_variables",
        "user_config",
        "user_id",
        "max_budget",
        "1e999",
        "-1",
        "010",
        "yes",
        "~",
        "*a",
        "&a",
        "<<",
        "include",
        "fallback_mapping",
        "logging",
        "type",
        "cache_settings",
        "credential_list",
        "credential_values",
        "litellm_credential_name",
        "!x",
        "'",
        "\"",
        "|",
        ">",
        "[",
        "]",
        "{",
        "}",
        ",",
        "- ",
        ": ",
        ":\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "#",
        "---\n",
        "\t",
        "\u{feff}",
        "\0",
        "é",
        "x",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

fn tree_like() -> impl Strategy<Value = String> {
    let keys = || {
        prop::sample::select(vec![
            "model_list",
            "litellm_params",
            "model_info",
            "router_settings",
            "litellm_settings",
            "general_settings",
            "trunkline",
            "timeouts",
            "fallbacks",
            "model_group_alias",
            "cache_params",
            "user_config",
            "logging",
            "rate_limit_config",
            "credential_list",
            "credential_name",
            "credential_values",
            "environment_variables",
            "include",
            "fallback_mapping",
            "model",
            "model_name",
            "rpm",
            "id",
            "mode",
            "organization",
            "extra_headers",
            "extra_body",
            "mock_response",
            "num_retries",
            "master_key",
            "database_url",
            "log_level",
            "type",
            "user_id",
            "max_budget",
            "budget_duration",
            "similarity_threshold",
            "cache",
            "hidden",
            "a",
        ])
    };
    let leaf = prop_oneof![
        keys().prop_map(|key| serde_json::json!(key)),
        any::<i64>().prop_map(|number| serde_json::json!(number)),
        any::<f64>().prop_map(|number| serde_json::json!(number)),
        any::<bool>().prop_map(|value| serde_json::json!(value)),
        "[ -~]{0,12}".prop_map(|text| serde_json::json!(text)),
        Just(serde_json::Value::Null),
    ];
    let value = leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((keys(), inner), 0..5).prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                serde_json::Value::Object(entries.collect())
            }),
        ]
    });
    // JSON is YAML.
    value.prop_map(|value| value.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_reader_panic(text in prop_oneof![yaml_like(), tree_like(), "\\PC{0,200}"]) {
        endured(&text);
    }
}
