//! Whole files: what they load to, and word for word what is said about bad ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    ByError, CliOverrides, Config, ConfigErrors, ConfigSource, DatabaseUrl, MapEnv, NoticeKind,
    RoutingStrategy, Secret, load,
};
use crate::cost::Part;

const KEYS: [(&str, &str); 2] = [
    ("OPENAI_API_KEY", "sk-openai"),
    ("GROQ_API_KEY", "gsk-groq"),
];

fn with(text: &str, env: &MapEnv) -> Result<Config, ConfigErrors> {
    load(
        ConfigSource::Text {
            name: "config.yaml",
            text,
        },
        &CliOverrides::default(),
        env,
    )
}

fn loaded(text: &str) -> Config {
    with(text, &MapEnv::new(KEYS)).unwrap_or_else(|err| panic!("{err}"))
}

fn refused(text: &str) -> String {
    with(text, &MapEnv::new(KEYS))
        .expect_err("loads")
        .to_string()
}

fn said(config: &Config, kind: NoticeKind) -> Vec<String> {
    config
        .warnings
        .iter()
        .filter(|notice| notice.kind == kind)
        .map(ToString::to_string)
        .collect()
}

const ONE: &str = "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n";

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
fn the_tutorials_file_loads_without_the_provider_whose_key_is_not_set() {
    let config = loaded(
        r#"
model_list:
  - model_name: gpt-4
    litellm_params:
      model: gpt-4
      api_key: os.environ/OPENAI_API_KEY

  - model_name: claude-3
    litellm_params:
      model: claude-3-opus-20240229
      api_key: os.environ/ANTHROPIC_API_KEY

general_settings:
  database_url: "sqlite:///litellm.db"  # For cost tracking
  master_key: "sk-1234"  # Master API key for admin access

rate_limit_config:
  redis_host: localhost
  redis_port: 6379

general_settings:
  database_url: "sqlite:///costs.db"
  master_key: "sk-1234"
"#,
    );
    let [deployment] = config.deployments.as_slice() else {
        panic!("{:?}", config.deployments)
    };
    assert_eq!(
        (deployment.model_name.as_str(), deployment.provider.name),
        ("gpt-4", "openai")
    );
    assert_eq!(deployment.upstream_model, "gpt-4");
    assert_eq!(deployment.api_key, Some(Secret::new("sk-openai")));
    assert_eq!(deployment.api_base.as_str(), "https://api.openai.com/v1");
    assert_eq!(deployment.id.len(), 64);
    assert_eq!(
        config.general.database_url,
        DatabaseUrl::Sqlite(PathBuf::from("costs.db"))
    );
    assert_eq!(config.server.data_dir, Path::new("."));
    assert_eq!(config.general.master_key, Some(Secret::new("sk-1234")));
    assert_eq!(
        said(&config, NoticeKind::DuplicateKey),
        [
            "config.yaml:21:1: general_settings: stands here 2 times in the same mapping; this last one counts, the others are ignored"
        ]
    );
    assert!(said(&config, NoticeKind::NotActedOn).is_empty());
    let redis = config.redis.as_ref().map(|redis| redis.shown.as_str());
    assert_eq!(redis, Some("redis://localhost:6379/0"));
    assert_eq!(said(&config, NoticeKind::Weak).len(), 1);
    assert_eq!(
        said(&config, NoticeKind::SkippedDeployment),
        [
            "config.yaml:11:7: model_list[1].litellm_params.api_key: this deployment is left out: environment variable ANTHROPIC_API_KEY is not set; set ANTHROPIC_API_KEY to the provider's key"
        ]
    );
}

#[test]
fn every_parameter_of_a_deployment_is_read() {
    let config = loaded(
        "model_list:
- model_name: m
  rpm: 7
  litellm_params:
    model: groq/llama
    api_base: http://localhost:9/v1/
    organization: org
    headers: {X-One: '1'}
    extra_headers: {x-one: two}
    extra_body: {z: 1, a: [true]}
    timeout: '2.5'
    stream_timeout: 3
    weight: 2
    tpm: 1000
    order: 1
    max_parallel_requests: 4
    cooldown_time: 9
    num_retries: 0
    drop_params: 'true'
    additional_drop_params: [user]
    allowed_openai_params: [tools]
    temperature: 0.20
    something_new: {deep: 1}
    tags: [x]
    input_cost_per_token: 1e-06
    output_cost_per_token: 0.0000025
  model_info:
    id: 12
    mode: chat
    base_model: llama-base
    max_input_tokens: 8000
    colour: blue
    cache_read_input_token_cost: 1.5000000000000002e-07
",
    );
    let d = &config.deployments[0];
    assert_eq!(
        (d.id.as_str(), d.api_base.as_str()),
        ("12", "http://localhost:9/v1")
    );
    assert_eq!(d.organization.as_deref(), Some("org"));
    assert_eq!(d.extra_headers, [("x-one".to_owned(), Secret::new("two"))]);
    assert_eq!(
        serde_json::to_string(&d.extra_body).unwrap(),
        r#"{"z":1,"a":[true]}"#
    );
    assert_eq!(
        serde_json::to_string(&d.defaults).unwrap(),
        r#"{"temperature":0.2,"something_new":{"deep":1}}"#
    );
    assert_eq!(
        (d.timeout_secs, d.stream_timeout_secs, d.weight),
        (Some(2.5), Some(3.0), Some(2.0))
    );
    assert_eq!(
        (d.rpm, d.tpm, d.order, d.max_parallel_requests),
        (Some(7), Some(1000), Some(1), Some(4))
    );
    assert_eq!(
        (d.cooldown_time_secs, d.num_retries, d.drop_params),
        (Some(9.0), Some(0), Some(true))
    );
    assert_eq!(
        (
            d.additional_drop_params.as_slice(),
            d.allowed_openai_params.as_slice()
        ),
        (&["user".to_owned()][..], &["tools".to_owned()][..])
    );
    let prices = [Part::Input, Part::Output, Part::CacheRead]
        .map(|part| d.prices.of(part).unwrap().to_string());
    assert_eq!(prices, ["0.000001", "0.0000025", "0.00000015"]);
    assert_eq!(d.model_info.base_model.as_deref(), Some("llama-base"));
    assert_eq!(
        serde_json::to_string(&d.model_info.rest).unwrap(),
        r#"{"colour":"blue","cache_read_input_token_cost":1.5000000000000002e-7}"#
    );
    assert_eq!(d.tags, ["x"]);
    assert!(said(&config, NoticeKind::NotActedOn).is_empty());
    assert!(said(&config, NoticeKind::UnknownKey).is_empty());
}

#[test]
fn what_routing_is_told_is_read_with_its_defaults() {
    let plain = loaded("model_list:\n- {model_name: a, litellm_params: {model: gpt-4o}}\n");
    let router = &plain.router;
    assert_eq!(router.routing_strategy, RoutingStrategy::SimpleShuffle);
    assert_eq!(router.strategy_args.ttl, Duration::from_hours(1));
    assert_eq!(router.retry_policy, ByError::default());
    assert!(!router.enable_tag_filtering && router.tag_filtering_match_any);
    assert!(!router.enable_pre_call_checks);
    let told = loaded(
        "model_list:
- model_name: a
  litellm_params: {model: gpt-4o, tags: [free]}
  model_info: {allowed_fails: 7, allowed_fails_policy: {TimeoutErrorAllowedFails: 2}}
router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {ttl: 60, lowest_latency_buffer: 0.5, rolling_window_size: 9}
  retry_policy: {RateLimitErrorRetries: 3, BadRequestErrorRetries: 0}
  model_group_retry_policy: {a: {TimeoutErrorRetries: 1}}
  enable_tag_filtering: true
  tag_filtering_match_any: false
  enable_pre_call_checks: true
",
    );
    let router = &told.router;
    assert_eq!(router.routing_strategy, RoutingStrategy::LatencyBased);
    let args = router.strategy_args;
    assert_eq!(args.ttl, Duration::from_mins(1));
    assert!((args.lowest_latency_buffer - 0.5).abs() < f64::EPSILON);
    let policy = router.retry_policy;
    assert_eq!((policy.rate_limit, policy.bad_request), (Some(3), Some(0)));
    assert_eq!(router.model_group_retry_policy[0].1.timeout, Some(1));
    assert!(router.enable_tag_filtering && !router.tag_filtering_match_any);
    assert!(router.enable_pre_call_checks);
    let own = &told.deployments[0];
    assert_eq!(own.allowed_fails, Some(7));
    assert_eq!(own.allowed_fails_policy.timeout, Some(2));
    let said = said(&told, NoticeKind::NotActedOn);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("rolling_window_size"), "{said:?}");
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
fn router_settings_win_over_litellm_settings_and_defaults_are_litellms() {
    let defaults = loaded(ONE).router;
    assert_eq!(
        (
            defaults.num_retries,
            defaults.max_fallbacks,
            defaults.allowed_fails
        ),
        (2, 5, None)
    );
    assert_eq!(defaults.cooldown_time, Duration::from_secs(5));
    let config = loaded(&format!(
        "{ONE}- {{model_name: b, litellm_params: {{model: gpt-4o}}}}
litellm_settings: {{num_retries: 7, cooldown_time: 0.5, drop_params: true, default_fallbacks: [b], request_timeout: 30}}
router_settings: {{num_retries: 1, fallbacks: [{{a: [b, {{model: alias}}]}}], model_group_alias: {{alias: b, other: {{model: a, hidden: true}}}}}}
"
    ));
    let router = config.router;
    assert_eq!(
        (router.num_retries, router.cooldown_time),
        (1, Duration::from_millis(500))
    );
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        router.fallbacks,
        [
            ("a".to_owned(), names(&["b", "alias"])),
            ("*".to_owned(), names(&["b"]))
        ]
    );
    assert_eq!(
        router.model_group_alias,
        [("alias", "b"), ("other", "a")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert!(config.litellm.drop_params);
    assert_eq!(config.litellm.request_timeout_secs, Some(30.0));
}

#[test]
fn ids_are_stable_distinct_and_do_not_depend_on_the_key() {
    let text = "model_list:
- {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/OPENAI_API_KEY}}
- {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/GROQ_API_KEY}}
- {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/GROQ_API_KEY}}
- {model_name: a, litellm_params: {model: gpt-4o, organization: [one, two]}}
";
    let ids = |env: &MapEnv| {
        with(text, env)
            .unwrap()
            .deployments
            .into_iter()
            .map(|d| d.id)
            .collect::<Vec<_>>()
    };
    let first = ids(&MapEnv::new(KEYS));
    assert_eq!(
        first,
        ids(&MapEnv::new([
            ("OPENAI_API_KEY", "other"),
            ("GROQ_API_KEY", "other")
        ]))
    );
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 5);
}

#[test]
fn without_a_file_the_environment_is_served() {
    let load_env =
        |env: &MapEnv| load(ConfigSource::Environment, &CliOverrides::default(), env).unwrap();
    let bare = load_env(&MapEnv::default());
    let [demo] = bare.deployments.as_slice() else {
        panic!("{:?}", bare.deployments)
    };
    assert_eq!(
        (demo.model_name.as_str(), demo.mock_response.is_some()),
        ("demo", true)
    );
    assert_eq!(bare.server.data_dir, Path::new("./data"));
    assert_eq!(
        bare.general.database_url,
        DatabaseUrl::Sqlite(PathBuf::from("./data/trunkline.db"))
    );
    assert!(bare.general.master_key.is_none());

    let full = load_env(&MapEnv::new([
        ("OPENAI_API_KEY", "sk-openai"),
        ("GROQ_API_KEY", "gsk"),
        ("ANTHROPIC_API_KEY", "x"),
        ("COHERE_API_KEY", "x"),
        ("LITELLM_MASTER_KEY", "sk-a-long-master-key"),
        ("DATABASE_URL", "sqlite:////var/lib/t/books.db"),
        ("PORT", "8000"),
        ("TRUNKLINE_TIMEOUT_IDLE_SECS", "7"),
    ]));
    let groups: Vec<&str> = full
        .deployments
        .iter()
        .map(|d| d.model_name.as_str())
        .collect();
    assert!(
        [
            "openai/*",
            "gpt-*",
            "groq/*",
            "anthropic/*",
            "claude-*",
            "demo"
        ]
        .iter()
        .all(|group| groups.contains(group)),
        "{groups:?}"
    );
    assert!(
        !groups
            .iter()
            .any(|group| group.contains("cohere") || group.contains("command"))
    );
    assert_eq!(full.server.port, 8000);
    assert_eq!(full.server.data_dir, Path::new("/var/lib/t"));
    assert_eq!(full.server.timeouts.idle, Duration::from_secs(7));
    assert!(full.warnings.is_empty(), "{:?}", full.warnings);
}

#[test]
fn the_command_line_wins_over_variables() {
    let cli = CliOverrides {
        host: Some("127.0.0.1".to_owned()),
        port: Some(1),
        workers: Some(3),
    };
    let env = MapEnv::new([
        ("PORT", "2"),
        ("HOST", "h"),
        ("NUM_WORKERS", "9"),
        ("OPENAI_API_KEY", "k"),
    ]);
    let server = load(
        ConfigSource::Text {
            name: "c",
            text: ONE,
        },
        &cli,
        &env,
    )
    .unwrap()
    .server;
    assert_eq!(
        (server.host.as_deref(), server.port, server.workers),
        (Some("127.0.0.1"), 1, Some(3))
    );
}

#[test]
fn wildcards_mocks_and_local_servers_need_no_key_of_their_own() {
    let config = loaded(
        "model_list:
- {model_name: '*', litellm_params: {model: '*'}}
- {model_name: 'x/*', litellm_params: {model: 'openai/*'}}
- {model_name: local, litellm_params: {model: smollm2, api_base: 'http://localhost:1/v1'}}
- {model_name: fake, litellm_params: {model: anything, mock_response: hi}}
",
    );
    let shown: Vec<String> = config
        .deployments
        .iter()
        .map(|d| {
            format!(
                "{} = {} {} {}",
                d.model_name,
                d.provider.name,
                d.upstream_model,
                d.api_key.is_some()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "openai/* = openai * true",
            "groq/* = groq * true",
            "x/* = openai * true",
            "local = custom_openai smollm2 false",
            "fake = custom_openai anything false",
        ]
    );
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

#[test]
fn every_block_of_the_tutorial_loads() {
    for (name, text, groups) in [
        (
            "users",
            "general_settings:\n  database_url: \"sqlite:///litellm.db\"\nuser_config:\n  - user_id: user1\n    user_role: app_user\n    max_budget: 100.0\n    models: [gpt-3.5-turbo]\ngeneral_settings:\n  database_url: \"postgresql://user:pass@host:5432/litellm\"\n",
            None,
        ),
        (
            "limits",
            "rate_limit_config:\n  redis_host: localhost\n  redis_port: 6379\nuser_config:\n  - user_id: u\n    rpm_limit: 100\ngeneral_settings:\n  global_max_rpm: 1000\n  global_max_tpm: 1000000\n",
            None,
        ),
        (
            "costs",
            "general_settings:\n  database_url: \"sqlite:///costs.db\"\nlitellm_settings:\n  cost_tracking: true\n",
            None,
        ),
        (
            "fallbacks",
            "model_list:\n  - model_name: gpt-4\n    litellm_params:\n      model: gpt-4\n      api_key: os.environ/OPENAI_API_KEY\n    model_info:\n      mode: fallback\n  - model_name: gpt-4-fallback\n    litellm_params:\n      model: claude-3-opus-20240229\n      api_key: os.environ/ANTHROPIC_API_KEY\n    model_info:\n      mode: fallback\nfallback_mapping:\n  gpt-4: [\"gpt-4-fallback\"]\n",
            Some(1),
        ),
        (
            "cache",
            "cache_settings:\n  type: redis\n  password: \"\"\nlitellm_settings:\n  cache: true\n  cache_ttl: 3600\ncache_settings:\n  type: redis\n  similarity_threshold: 0.8\n",
            None,
        ),
        (
            "logging",
            "general_settings:\n  log_level: \"INFO\"\nlogging:\n  - type: \"datadog\"\n    datadog_api_key: \"k\"\n",
            None,
        ),
    ] {
        let config = loaded(text);
        assert!(
            said(&config, NoticeKind::UnknownKey).is_empty(),
            "{name}: {:?}",
            config.warnings
        );
        if let Some(groups) = groups {
            assert_eq!(config.deployments.len(), groups, "{name}");
        }
    }
}

#[test]
fn endpoints_are_appended_to_the_base() {
    for (base, want) in [
        ("http://h:1", "http://h:1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        (
            "http://h:1/v1/chat/completions",
            "http://h:1/v1/chat/completions",
        ),
        ("http://h:1/v1?k=1", "http://h:1/v1/chat/completions?k=1"),
    ] {
        let text = format!(
            "model_list:\n- {{model_name: a, litellm_params: {{model: m, api_base: '{base}'}}}}\n"
        );
        assert_eq!(
            loaded(&text).deployments[0]
                .url("/chat/completions")
                .as_str(),
            want,
            "{base}"
        );
    }
}

#[test]
fn the_minimal_file_loads() {
    let config = loaded(include_str!("../../config/minimal.yaml"));
    assert_eq!(config.deployments.len(), 1);
    assert!(config.warnings.is_empty());
}
