//! What is said about files and variables that are wrong.

use std::fs;

use super::{ONE, loaded, refused, said, with};
use crate::config::{CliOverrides, ConfigSource, MapEnv, NoticeKind, Secret, load};

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_files_are_refused_with_place_reason_and_remedy() {
    let entry = "write `model_name:` and `litellm_params:` under one `-`";
    for (name, text, want) in [
        (
            "empty",
            "",
            "config.yaml: the file is empty; write at least a model_list; see config/minimal.yaml",
        ),
        (
            "only a comment",
            "# nothing\n",
            "config.yaml: the file is empty; write at least a model_list; see config/minimal.yaml",
        ),
        (
            "not a mapping",
            "- a\n- b\n",
            "config.yaml: expected `key: value` lines, found a list; check indentation, colons and quotes there and in the line above",
        ),
        (
            "syntax",
            "model_list:\n  - model_name: [a\n",
            "config.yaml:3:1: this is not YAML: did not find expected ',' or ']'; check indentation, colons and quotes there and in the line above",
        ),
        (
            "a shell command",
            "general_settings:\n  log_level: INFO\n\nlitellm --config config.yaml --generate_key\n",
            "config.yaml:4:1: line 4 looks like a shell command, not like YAML; keep only the YAML part of what was pasted",
        ),
        (
            "list of texts",
            "model_list:\n- a\n",
            &format!(
                "config.yaml:2:3: model_list[0]: expected a mapping, found the text `a`; {entry}"
            ),
        ),
        (
            "not a list",
            "model_list: {a: 1}\n",
            "config.yaml:1:1: model_list: expected a list, found a mapping; write one `- model_name: …` entry for each deployment",
        ),
        (
            "empty list",
            "model_list: []\n",
            "config.yaml:1:1: model_list: is empty; write at least one deployment, or remove the key",
        ),
        (
            "no model_name, no model",
            "model_list:\n- litellm_params:\n    api_base: http://x/v1\n",
            "config.yaml:2:3: model_list[0].model_name: is missing; write `model_name: gpt-4o`\n\
             config.yaml:2:3: model_list[0].litellm_params.model: is missing; write `model: openai/gpt-4o`",
        ),
        (
            "wrong types, all at once",
            "model_list:\n- model_name: a\n  litellm_params:\n    model: openai/gpt-4o\n    rpm: -3\n    weight: heavy\n    timeout: 0\n",
            "config.yaml:5:5: model_list[0].litellm_params.rpm: expected a whole number, 0 or more, found the number `-3`; write a number such as 10\n\
             config.yaml:6:5: model_list[0].litellm_params.weight: expected a number, found the text `heavy`; write a number such as 1.5\n\
             config.yaml:7:5: model_list[0].litellm_params.timeout: is not a time this can wait; write seconds above 0, at most 31536000",
        ),
        (
            "unknown provider",
            "model_list:\n- {model_name: a, litellm_params: {model: llama3}}\n",
            "config.yaml:2:36: model_list[0].litellm_params.model: the provider of `llama3` is not said; write `provider/model`, such as openai/gpt-4o, or add the api_base of an OpenAI-compatible server",
        ),
        (
            "vllm without an address",
            "model_list:\n- {model_name: a, litellm_params: {model: hosted_vllm/x}}\n",
            "config.yaml:2:19: model_list[0].litellm_params.api_base: is missing, and hosted_vllm has no address of its own; write `api_base: http://host:port/v1` or set HOSTED_VLLM_API_BASE",
        ),
        (
            "bad address",
            "model_list:\n- {model_name: a, litellm_params: {model: m, api_base: 'localhost:80'}}\n",
            "config.yaml:2:46: model_list[0].litellm_params.api_base: is not an http or https URL; write a URL such as http://localhost:8000/v1",
        ),
        (
            "unset variables and nothing else left",
            "model_list:\n- model_name: a\n  litellm_params: {model: mistral/x, api_key: os.environ/NOT_THERE}\n",
            "config.yaml:3:38: model_list[0].litellm_params.api_key: this deployment is left out: environment variable NOT_THERE is not set (and no other deployment remains); set NOT_THERE to the provider's key",
        ),
        (
            "a provider that is not spoken",
            "model_list:\n- {model_name: a, litellm_params: {model: command-r-plus}}\n",
            "config.yaml:2:36: model_list[0].litellm_params.model: this deployment is left out: provider cohere is not spoken by this version yet (and no other deployment remains); use an OpenAI-compatible provider, or api_base of such a server",
        ),
        (
            "repeated id",
            "model_list:\n- {model_name: a, litellm_params: {model: gpt-4o}, model_info: {id: x}}\n- {model_name: b, litellm_params: {model: gpt-4o}, model_info: {id: x}}\n",
            "config.yaml:3:65: model_list[1].model_info.id: `x` is the id of model_list[0] too; write another id or remove the key",
        ),
        (
            "negative price",
            "model_list:\n- {model_name: a, litellm_params: {model: gpt-4o, input_cost_per_token: -1}}\n",
            "config.yaml:2:51: model_list[0].litellm_params.input_cost_per_token: is not a price; write USD per token, 0 or more, such as 2.5e-06",
        ),
        (
            "unset master key",
            &format!("{ONE}general_settings:\n  master_key: os.environ/MK\n"),
            "config.yaml:4:3: general_settings.master_key: environment variable MK is not set; set MK to the master key",
        ),
        (
            "database in memory",
            &format!("{ONE}general_settings:\n  database_url: 'sqlite://:memory:'\n"),
            "config.yaml:4:3: general_settings.database_url: an in-memory database would lose keys and spend at every stop; write sqlite:///file.db, sqlite:////absolute/file.db or postgresql://user:password@host:5432/name",
        ),
        (
            "unknown fallback",
            &format!("{ONE}router_settings:\n  fallbacks:\n  - a: [b]\n"),
            "config.yaml:5:9: router_settings.fallbacks[0].a[0]: no model group is called `b`; write the model_name of an entry of model_list, or an alias",
        ),
        (
            "bad timer",
            &format!("{ONE}trunkline: {{timeouts: {{idle: soon}}, workers: 0}}\n"),
            "config.yaml:3:24: trunkline.timeouts.idle: expected a number, found the text `soon`; write a number such as 1.5\n\
             config.yaml:3:37: trunkline.workers: must be at least 1; write 1 or more, or remove the key",
        ),
    ] {
        assert_eq!(refused(text), want, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.yaml");
    let err = load(
        ConfigSource::Path(&missing),
        &CliOverrides::default(),
        &MapEnv::default(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        err.starts_with(&format!("{}: the file cannot be read (", missing.display())),
        "{err}"
    );
    let binary = dir.path().join("binary.yaml");
    fs::write(&binary, [b'a', 0xff]).unwrap();
    let err = load(
        ConfigSource::Path(&binary),
        &CliOverrides::default(),
        &MapEnv::default(),
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        err,
        format!(
            "{}: is not UTF-8 text (byte 1); save the file as UTF-8",
            binary.display()
        )
    );
}

#[test]
fn bad_variables_are_named() {
    let err = with(
        ONE,
        &MapEnv::new([
            ("OPENAI_API_KEY", "k"),
            ("PORT", "70000"),
            ("TRUNKLINE_TIMEOUT_IDLE_SECS", "x"),
        ]),
    );
    assert_eq!(
        err.unwrap_err().to_string(),
        "PORT: `70000` is not a number it can hold; set a number\n\
         TRUNKLINE_TIMEOUT_IDLE_SECS: `x` is not a number it can hold; set a number"
    );
}

#[test]
fn a_policy_for_a_group_that_is_not_there_is_said() {
    let config = loaded(
        "model_list:\n- {model_name: chat, litellm_params: {model: gpt-4o}}\nrouter_settings: {model_group_retry_policy: {chatt: {TimeoutErrorRetries: 1}}}\n",
    );
    let said = said(&config, NoticeKind::Weak);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("did you mean `chat`?"), "{said:?}");
}

#[test]
fn a_buffer_below_zero_is_an_error() {
    let report = refused(
        "model_list:\n- {model_name: a, litellm_params: {model: gpt-4o}}\nrouter_settings: {routing_strategy_args: {lowest_latency_buffer: -1}}\n",
    );
    assert!(
        report.contains("lowest_latency_buffer: is below zero"),
        "{report}"
    );
}

#[test]
fn unknown_keys_are_named_by_their_whole_path() {
    let config = loaded(&format!(
        "{ONE}router_settings: {{num_retrys: 3, cache_kwargs: {{}}}}\nx-anchors: 1\nmodels: []\n"
    ));
    assert_eq!(
        said(&config, NoticeKind::UnknownKey),
        [
            "config.yaml:5:1: models: is not a known key and has no effect; check the spelling",
            "config.yaml:3:19: router_settings.num_retrys: is not a known key and has no effect; did you mean `num_retries`?",
        ]
    );
    assert_eq!(said(&config, NoticeKind::NotActedOn).len(), 1);
}

#[test]
fn no_secret_is_shown_by_debug_or_by_an_error() {
    let text = "model_list:\n- {model_name: a, litellm_params: {model: gpt-4o, api_key: sk-hidden, extra_headers: {x-k: sk-hidden}}}\ngeneral_settings: {master_key: sk-hidden, database_url: 'postgresql://u:sk-hidden@h/d'}\n";
    assert!(!format!("{:?}", loaded(text)).contains("sk-hidden"));
    let broken = text.replace("sk-hidden", "\"sk-hid\\nden\"");
    assert!(!refused(&broken).contains("sk-hid"));
}

#[test]
fn an_unset_variable_is_always_named() {
    let config = loaded(
        "model_list:
- {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/NOT_THERE_1}}
- {model_name: a, litellm_params: {model: gpt-4o, timeout: os.environ/NOT_THERE_2}}
- {model_name: b, litellm_params: {model: mistral/x, api_key: os.environ/NOT_THERE_3}}
- {model_name: b, litellm_params: {model: x, api_base: os.environ/NOT_THERE_4}}
",
    );
    // The first takes the provider's own variable.
    assert_eq!(config.deployments.len(), 2);
    assert_eq!(
        config.deployments[0].api_key,
        Some(Secret::new("sk-openai"))
    );
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    for number in 1..=4 {
        let name = format!("NOT_THERE_{number}");
        assert!(
            warnings.iter().any(|warning| warning.contains(&name)),
            "{name}: {warnings:?}"
        );
    }
    assert_eq!(
        refused(
            "model_list:\n- {model_name: a, litellm_params: {model: gpt-4o, extra_headers: {x-a: os.environ/NOT_THERE}}}\n"
        ),
        "config.yaml:2:67: model_list[0].litellm_params.extra_headers.x-a: environment variable NOT_THERE is not set; set NOT_THERE or write the value"
    );
}
