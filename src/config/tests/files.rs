//! What is read from files, the environment and the command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ONE, env, loaded, said, with};
use crate::config::{
    BudgetSettings, ByError, CliOverrides, ConfigSource, DatabaseUrl, MapEnv, NoticeKind,
    RoutingStrategy, Secret, load,
};
use crate::cost::Part;

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
fn a_file_that_says_nothing_of_budgets_has_the_defaults() {
    assert_eq!(loaded(ONE).budgets, BudgetSettings::default());
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
    let first = ids(&env());
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
            "anthropic/* = anthropic * true",
            "x/* = openai * true",
            "local = custom_openai smollm2 false",
            "fake = custom_openai anything false",
        ]
    );
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
    let config = loaded(include_str!("../../../config/minimal.yaml"));
    assert_eq!(config.deployments.len(), 1);
    assert!(config.warnings.is_empty());
}
