//! LiteLLM's dialect and the tutorial's, by whole files: what is read, what is said, and that no text is too much.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::{
    CliOverrides, Config, ConfigErrors, ConfigSource, MapEnv, NoticeKind, RoutingHint, Secret, load,
};

fn env() -> MapEnv {
    MapEnv::new([
        ("OPENAI_API_KEY", "sk-openai"),
        ("OPENAI_API_KEY_1", "sk-openai-1"),
        ("OPENAI_API_KEY_2", "sk-openai-2"),
        ("OPENAI_API_KEY_3", "sk-openai-3"),
        ("ANTHROPIC_API_KEY", "sk-ant"),
        ("GROQ_API_KEY", "gsk-groq"),
    ])
}

fn with(text: &str, env: &MapEnv) -> Result<Config, ConfigErrors> {
    let source = ConfigSource::Text {
        name: "config.yaml",
        text,
    };
    load(source, &CliOverrides::default(), env)
}

fn loaded(text: &str) -> Config {
    with(text, &env()).unwrap_or_else(|err| panic!("{err}"))
}

fn refused(text: &str) -> String {
    with(text, &env()).expect_err("loads").to_string()
}

/// The paths of the notices of one kind.
fn paths(config: &Config, kind: NoticeKind) -> Vec<&str> {
    let notices = config.warnings.iter().filter(|notice| notice.kind == kind);
    notices.map(|notice| notice.path.as_str()).collect()
}

fn said(config: &Config, kind: NoticeKind) -> Vec<String> {
    let notices = config.warnings.iter().filter(|notice| notice.kind == kind);
    notices.map(ToString::to_string).collect()
}

fn groups(config: &Config) -> Vec<&str> {
    let deployments = config.deployments.iter();
    deployments.map(|one| one.model_name.as_str()).collect()
}

const ONE: &str = "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n";

// === the tutorial ===

fn tutorial(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/tutorial");
    fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap()
}

#[test]
fn each_block_of_the_tutorial_loads_as_it_is_written() {
    // Name, groups of the file that are served, planned keys, repeated keys.
    for (name, served, planned, repeated) in [
        (
            "configuration",
            vec!["gpt-4", "claude-3", "gpt-3.5-turbo"],
            vec![],
            vec![],
        ),
        (
            "authentication",
            vec![],
            vec!["user_config[0].max_budget", "user_config[0].models"],
            vec!["general_settings"],
        ),
        (
            "rate-limiting",
            vec![],
            vec![
                "general_settings.global_max_rpm",
                "general_settings.global_max_tpm",
                "user_config[0].max_budget",
                "user_config[0].models",
                "user_config[0].rpm_limit",
                "user_config[0].tpm_limit",
            ],
            vec![],
        ),
        (
            "cost-tracking",
            vec![],
            vec![
                "litellm_settings.cost_tracking",
                "user_config[0].budget_duration",
                "user_config[0].max_budget",
                "user_config[0].models",
            ],
            vec![],
        ),
        ("fallbacks", vec!["gpt-4", "gpt-4-fallback"], vec![], vec![]),
        (
            "load-balancing",
            vec!["gpt-4", "gpt-4", "gpt-4"],
            vec![],
            vec![],
        ),
        (
            "caching",
            vec![],
            vec![
                "cache_settings",
                "litellm_settings.cache",
                "litellm_settings.cache_ttl",
            ],
            vec!["cache_settings"],
        ),
        ("logging", vec![], vec!["logging"], vec![]),
        ("kubernetes-config", vec!["gpt-4"], vec![], vec![]),
    ] {
        let config = loaded(&tutorial(name));
        // Without a list of models the providers of the environment are served.
        if served.is_empty() {
            assert!(groups(&config).contains(&"demo"), "{name}");
        } else {
            assert_eq!(groups(&config), served, "{name}");
        }
        let mut found = paths(&config, NoticeKind::NotActedOn);
        found.sort_unstable();
        let mut planned = planned;
        planned.sort_unstable();
        assert_eq!(found, planned, "{name}");
        assert_eq!(paths(&config, NoticeKind::DuplicateKey), repeated, "{name}");
        assert!(paths(&config, NoticeKind::UnknownKey).is_empty(), "{name}");
    }
}

#[test]
fn what_the_tutorial_means_is_in_the_typed_configuration() {
    let users = loaded(&tutorial("rate-limiting")).users;
    let [premium, basic] = users.as_slice() else {
        panic!("{users:?}")
    };
    assert_eq!(
        (
            premium.user_id.as_str(),
            premium.email.as_deref(),
            premium.role.as_str()
        ),
        ("premium_user", Some("premium@example.com"), "internal_user")
    );
    assert_eq!(
        (
            premium.rpm_limit,
            premium.tpm_limit,
            premium.models.as_slice()
        ),
        (
            Some(100),
            Some(100_000),
            ["gpt-4".to_owned(), "claude-3".to_owned()].as_slice()
        )
    );
    assert_eq!(basic.max_budget.unwrap().to_string(), "10");
    let global = loaded(&tutorial("rate-limiting")).general;
    assert_eq!(
        (global.global_max_rpm, global.global_max_tpm),
        (Some(1000), Some(1_000_000))
    );

    let costs = loaded(&tutorial("cost-tracking"));
    assert_eq!(costs.users[0].budget_duration.as_deref(), Some("30d"));
    assert!(costs.litellm.cost_tracking);

    let redis = loaded(&tutorial("configuration")).redis.unwrap();
    assert_eq!(redis.shown, "redis://localhost:6379/0");

    // The first of the two blocks is lost with its password, as YAML's last one wins.
    let cache = loaded(&tutorial("caching")).cache.unwrap();
    assert_eq!(
        (
            cache.kind.as_str(),
            cache.similarity_threshold,
            cache.ttl_secs,
            cache.port
        ),
        ("redis-semantic", Some(0.8), Some(3600.0), Some(6379))
    );

    let logging = loaded(&tutorial("logging"));
    let kinds: Vec<&str> = logging
        .log_exports
        .iter()
        .map(|one| one.kind.as_str())
        .collect();
    assert_eq!(kinds, ["datadog", "sentry", "langsmith"]);
    assert_eq!(
        logging.log_exports[1].settings,
        [("dsn".to_owned(), Secret::new("your-sentry-dsn"))]
    );
    assert!(!format!("{logging:?}").contains("your-datadog-key"));
    assert_eq!(logging.general.log_level, "info");

    let fallbacks = loaded(&tutorial("fallbacks"));
    assert_eq!(
        fallbacks.router.fallbacks,
        [("gpt-4".to_owned(), vec!["gpt-4-fallback".to_owned()])]
    );
    let info = &fallbacks.deployments[0].model_info;
    assert_eq!(
        (info.mode.as_deref(), info.routing_hint),
        (None, Some(RoutingHint::Fallback))
    );
    let balanced = loaded(&tutorial("load-balancing"));
    let hint = balanced.deployments[2].model_info.routing_hint;
    assert_eq!(hint, Some(RoutingHint::LoadBalance));
    assert_eq!(
        balanced.deployments[2].api_key,
        Some(Secret::new("sk-openai-3"))
    );
}

#[test]
fn what_is_pasted_with_the_configuration_is_named_with_its_line() {
    assert_eq!(
        refused(&tutorial("authentication-pasted")),
        "config.yaml:24:1: line 24 looks like a shell command, not like YAML; keep only the YAML part of what was pasted"
    );
    assert_eq!(
        refused("general_settings:\n  log_level: INFO\nclient = openai.OpenAI(\n"),
        "config.yaml:3:1: line 3 looks like a line of Python, not like YAML; keep only the YAML part of what was pasted"
    );
    for (name, what) in [
        ("compose", "config.yaml: this is a Compose file; give"),
        (
            "kubernetes",
            "config.yaml: this is a Kubernetes manifest; give",
        ),
        (
            "prometheus",
            "config.yaml: this is a Kubernetes manifest; give",
        ),
    ] {
        let report = refused(&tutorial(name));
        assert!(report.starts_with(what), "{name}: {report}");
    }
}

#[test]
fn a_block_that_leaves_no_deployment_says_why_of_each() {
    let report = with(&tutorial("fallbacks"), &MapEnv::default())
        .unwrap_err()
        .to_string();
    assert_eq!(report.lines().count(), 2, "{report}");
    assert!(
        report.contains("OPENAI_API_KEY is not set (and no other deployment remains)"),
        "{report}"
    );
    assert!(
        report.contains("ANTHROPIC_API_KEY is not set (and no other deployment remains)"),
        "{report}"
    );
}

#[test]
fn users_are_checked() {
    let user = |text: &str| format!("{ONE}user_config:\n- {text}\n");
    let config = loaded(&user(
        "{user_id: 010, user_role: boss, max_budget: 1e2, budget_duration: 1mo}",
    ));
    let [user_010] = config.users.as_slice() else {
        panic!("{:?}", config.users)
    };
    // An id is a text, whatever it looks like.
    assert_eq!(
        (user_010.user_id.as_str(), user_010.role.as_str()),
        ("010", "internal_user")
    );
    assert_eq!(user_010.max_budget.unwrap().to_string(), "100");
    assert_eq!(
        paths(&config, NoticeKind::Adjusted),
        ["user_config[0].user_role"]
    );
    for (text, want) in [
        (
            "{user_email: x}",
            "user_config[0].user_id: is missing or not a name; write `user_id: NAME`",
        ),
        (
            "{user_id: u, max_budget: lots}",
            "user_config[0].max_budget: is not an amount; write USD, 0 or more, such as 100.0",
        ),
        (
            "{user_id: u, max_budget: -1}",
            "user_config[0].max_budget: is not an amount; write USD, 0 or more, such as 100.0",
        ),
        (
            "{user_id: u, budget_duration: yearly}",
            "user_config[0].budget_duration: is not a length of time; write a number and a unit, such as 30s, 30m, 12h, 30d, 4w or 1mo",
        ),
        (
            "{user_id: u}\n- {user_id: u}",
            "user_config[1].user_id: `u` is the id of user_config[0] too; write each user once",
        ),
        (
            "{user_id: u, rpm_limit: many}",
            "user_config[0].rpm_limit: expected a whole number, 0 or more, found the text `many`; write a number such as 10",
        ),
    ] {
        let report = refused(&user(text));
        assert!(report.ends_with(want), "{text}: {report}");
    }
}

// === LiteLLM's dialect ===

#[test]
fn each_planned_key_is_one_line_however_many_entries_have_it() {
    let mut text = "model_list:\n".to_owned();
    for number in 0..5 {
        writeln!(text, "- {{model_name: m{number}, litellm_params: {{model: gpt-4o, tag_regex: [x], itpm: 1}}, colour: red}}").unwrap();
    }
    text.push_str("general_settings: {proxy_batch_write_at: 10, allowed_ips: }\n");
    let config = loaded(&text);
    assert_eq!(
        said(&config, NoticeKind::NotActedOn),
        [
            "config.yaml:7:20: general_settings.proxy_batch_write_at: has no effect here: the books are on disk before an answer ends",
            "config.yaml:2:52: model_list[0].litellm_params.tag_regex: is understood but not acted on yet: it has no effect in this version (here and at 4 more places)",
            "config.yaml:2:68: model_list[0].litellm_params.itpm: is understood but not acted on yet: it has no effect in this version (here and at 4 more places)",
        ]
    );
    assert_eq!(
        said(&config, NoticeKind::UnknownKey),
        [
            "config.yaml:2:78: model_list[0].colour: is not a known key and has no effect; check the spelling (here and at 4 more places)"
        ]
    );
}

#[test]
fn a_key_that_cannot_be_had_is_an_error() {
    assert_eq!(
        refused(&format!("{ONE}general_settings:\n  custom_auth: my.py\n")),
        "config.yaml:4:3: general_settings.custom_auth: cannot be had here; Python cannot run here: remove the key, and put a proxy that does this in front"
    );
}

#[test]
fn keys_below_keys_are_told_apart_too() {
    let config = loaded(&format!(
        "{ONE}trunkline: {{timeouts: {{idel: 1}}}}
litellm_settings: {{cache: true, cache_params: {{type: local, ttl: 5, tll: 6, s3_path: x}}}}
rate_limit_config: {{redis_host: h, redis_hots: h}}
logging: [{{type: sentry, anything: 1}}]
"
    ));
    assert_eq!(
        paths(&config, NoticeKind::UnknownKey),
        [
            "litellm_settings.cache_params.tll",
            "trunkline.timeouts.idel",
            "rate_limit_config.redis_hots",
        ]
    );
    assert!(
        said(&config, NoticeKind::UnknownKey)
            .iter()
            .all(|line| line.contains("did you mean") && !line.contains("here and"))
    );
    assert_eq!(
        paths(&config, NoticeKind::NotActedOn),
        [
            "logging",
            "litellm_settings.cache",
            "litellm_settings.cache_params",
        ]
    );
    let cache = config.cache.unwrap();
    assert_eq!((cache.kind.as_str(), cache.ttl_secs), ("local", Some(5.0)));
}

#[test]
fn many_unknown_keys_are_counted() {
    let mut text = ONE.to_owned();
    for number in 0..80 {
        writeln!(text, "zzz{number}qqq: 1").unwrap();
    }
    let notices = said(&loaded(&text), NoticeKind::UnknownKey);
    assert_eq!(notices.len(), 51);
    assert_eq!(
        notices[50],
        "config.yaml: 30 more keys are not known and have no effect"
    );
}

#[test]
fn variables_of_the_file_are_in_force_before_references() {
    let text = "environment_variables:
  FIRST: os.environ/GROQ_API_KEY
  SECOND: os.environ/FIRST
  OPENAI_API_KEY: sk-of-the-file
  ANTHROPIC_API_KEY: ''
  PORT: 4321
model_list:
- {model_name: a, litellm_params: {model: gpt-4o, timeout: os.environ/TEN, extra_headers: {x-a: os.environ/SECOND}, extra_body: {deep: [{er: os.environ/FIRST}]}, temperature: os.environ/WARM}}
- {model_name: b, litellm_params: {model: os.environ/MODEL}}
router_settings: {fallbacks: [{a: [os.environ/B]}]}
";
    let env = MapEnv::new([
        ("GROQ_API_KEY", "gsk"),
        ("OPENAI_API_KEY", "sk-of-the-process"),
        ("TEN", "10"),
        ("WARM", "0.5"),
        ("MODEL", "groq/llama"),
        ("B", "b"),
    ]);
    let config = with(text, &env).unwrap();
    let [a, b] = config.deployments.as_slice() else {
        panic!("{:?}", config.deployments)
    };
    assert_eq!(a.api_key, Some(Secret::new("sk-of-the-file")));
    assert_eq!(a.extra_headers, [("x-a".to_owned(), Secret::new("gsk"))]);
    assert_eq!(a.timeout_secs, Some(10.0));
    assert_eq!(
        serde_json::to_string(&a.extra_body).unwrap(),
        r#"{"deep":[{"er":"gsk"}]}"#
    );
    assert_eq!(
        (b.provider.name, b.upstream_model.as_str()),
        ("groq", "llama")
    );
    assert_eq!(
        config.router.fallbacks,
        [("a".to_owned(), vec!["b".to_owned()])]
    );
    assert_eq!(config.server.port, 4321);
    assert_eq!(
        refused(&format!("{ONE}environment_variables: {{A: [1]}}\n")),
        "config.yaml:3:25: environment_variables.A: expected a text, found a list; write one value"
    );
}

#[test]
fn deployments_take_what_their_credential_says_and_they_do_not() {
    let text = "credential_list:
- credential_name: shared
  credential_values: {api_key: os.environ/GROQ_API_KEY, api_base: 'http://localhost:1/v1'}
  credential_info: {description: ours}
- credential_name: unset
  credential_values: {api_key: os.environ/NOT_THERE}
model_list:
- {model_name: a, litellm_params: {model: m, litellm_credential_name: shared}}
- {model_name: b, litellm_params: {model: m, litellm_credential_name: shared, api_key: sk-own}}
- {model_name: c, litellm_params: {model: gpt-4o, litellm_credential_name: unset}}
";
    let config = loaded(text);
    let shown: Vec<_> = config
        .deployments
        .iter()
        .map(|one| {
            (
                one.model_name.as_str(),
                one.api_base.as_str(),
                one.api_key.as_ref().unwrap().expose(),
            )
        })
        .collect();
    // The variable that is not set does not become another key without a word.
    assert_eq!(
        shown,
        [
            ("a", "http://localhost:1/v1", "gsk-groq"),
            ("b", "http://localhost:1/v1", "sk-own"),
            ("c", "https://api.openai.com/v1", "sk-openai"),
        ]
    );
    assert!(
        said(&config, NoticeKind::Adjusted)
            .iter()
            .any(|line| line.contains("model_list[2].litellm_params.api_key")
                && line.contains("NOT_THERE")),
        "{:?}",
        config.warnings
    );
    assert_eq!(
        refused(
            "model_list:\n- {model_name: a, litellm_params: {model: gpt-4o, litellm_credential_name: sharde}}\n"
        ),
        "config.yaml:2:51: model_list[0].litellm_params.litellm_credential_name: no credential is called `sharde`; write the credential_name of an entry of credential_list"
    );
}

#[test]
fn the_habits_of_yaml_1_1_are_read_as_people_mean_them() {
    let config = loaded(
        "x-base: &base {drop_params: yes, rpm: 1_000, api_key: ~}
model_list:
- model_name: a
  litellm_params:
    <<: *base
    model: gpt-4o
    tpm: 010
    parallel_tool_calls: off
    stop: 'off'
    user: 007a
    logit_bias: {on: No}
    extra_body: {flag: On, zip: '010'}
    extra_headers: {x-flag: on}
- model_name: 42
  litellm_params: {<<: [*base, {rpm: 5}], model: gpt-4o, rpm: '7'}
litellm_settings: {drop_params: True, num_retries: '4'}
",
    );
    let [a, number] = config.deployments.as_slice() else {
        panic!("{:?}", config.deployments)
    };
    assert_eq!(
        (a.drop_params, a.rpm, a.tpm),
        (Some(true), Some(1000), Some(8))
    );
    assert_eq!(
        serde_json::to_string(&a.defaults).unwrap(),
        r#"{"parallel_tool_calls":false,"stop":"off","user":"007a","logit_bias":{"on":false}}"#
    );
    assert_eq!(
        serde_json::to_string(&a.extra_body).unwrap(),
        r#"{"flag":true,"zip":"010"}"#
    );
    assert_eq!(a.extra_headers, [("x-flag".to_owned(), Secret::new("on"))]);
    assert_eq!((number.model_name.as_str(), number.rpm), ("42", Some(7)));
    assert_eq!(
        (config.litellm.drop_params, config.router.num_retries),
        (true, 4)
    );
    assert_eq!(
        said(&config, NoticeKind::Adjusted),
        [
            "config.yaml:7:5: model_list[0].litellm_params.tpm: `010` is the number 8, as YAML 1.1 has it; write 8, or \"010\" in quotes"
        ]
    );
}

#[test]
fn aliases_have_two_forms_and_old_names_are_known() {
    let config = loaded(&format!(
        "{ONE}router_settings: {{model_group_alias_map: {{x: a, y: {{model: a, hidden: yes}}}}}}
general_settings: {{custom_key_header: x-key, user_header_name: x-user}}
"
    ));
    let aliases =
        [("x", "a"), ("y", "a")].map(|(alias, group)| (alias.to_owned(), group.to_owned()));
    assert_eq!(config.router.model_group_alias, aliases);
    assert_eq!(config.router.hidden_aliases, ["y"]);
    assert_eq!(
        config.general.litellm_key_header_name.as_deref(),
        Some("x-key")
    );
}

#[test]
fn a_section_of_fallbacks_and_the_tutorials_mapping_go_together() {
    let config = loaded(&format!(
        "{ONE}- {{model_name: b, litellm_params: {{model: gpt-4o}}}}
- {{model_name: c, litellm_params: {{model: gpt-4o}}}}
router_settings: {{fallbacks: [{{a: [b]}}]}}
fallback_mapping: {{a: [c], b: [c]}}
"
    ));
    assert_eq!(
        config.router.fallbacks,
        [("a", "b"), ("b", "c")].map(|(group, target)| (group.to_owned(), vec![target.to_owned()]))
    );
}

// === include ===

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn from_folder(files: &[(&str, &str)]) -> Result<Config, String> {
    let folder = folder(files);
    let path = folder.path().join("main.yaml");
    let shown = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    match load(ConfigSource::Path(&path), &CliOverrides::default(), &env()) {
        Ok(mut config) => {
            for notice in &mut config.warnings {
                if let Some(location) = &mut notice.location {
                    location.file = shown(location.file.clone());
                }
            }
            Ok(config)
        }
        Err(err) => Err(shown(err.to_string())),
    }
}

const TWO: &str = "model_list:\n- {model_name: b, litellm_params: {model: openai/gpt-4o}}\n";

#[test]
fn included_lists_are_appended_and_other_sections_replaced() {
    let main = format!(
        "{ONE}include: [more/two.yaml, three.yaml]\nrouter_settings: {{num_retries: 1, timeout: 5}}\n"
    );
    let config = from_folder(&[
        ("main.yaml", &main),
        ("more/two.yaml", &format!("{TWO}include: four.yaml\n")),
        ("more/four.yaml", "model_list:\n- {model_name: d, litellm_params: {model: gpt-4o, colour: 1, tags: [x]}, oops: 1}\n"),
        ("three.yaml", "router_settings: {num_retries: 7, num_retrys: 1}\ngeneral_settings: {log_level: DEBUG}\n"),
    ])
    .unwrap();
    assert_eq!(groups(&config), ["a", "b", "d"]);
    assert_eq!(
        (config.router.num_retries, config.router.timeout),
        (7, None)
    );
    assert_eq!(config.general.log_level, "debug");
    // Places are those of the file that holds them.
    assert_eq!(
        said(&config, NoticeKind::UnknownKey),
        [
            "three.yaml:1:35: router_settings.num_retrys: is not a known key and has no effect; did you mean `num_retries`?",
            "more/four.yaml:2:74: model_list[2].oops: is not a known key and has no effect; check the spelling",
        ]
    );
}

#[test]
fn includes_that_cannot_be_are_refused() {
    let main = |include: &str| format!("{ONE}include: {include}\n");
    let deep: Vec<(String, String)> = (0..12)
        .map(|level| {
            (
                format!("{level}.yaml"),
                format!("include: [{}.yaml]\n", level + 1),
            )
        })
        .collect();
    let mut files: Vec<(&str, &str)> = deep
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let main_deep = main("0.yaml");
    files.push(("main.yaml", &main_deep));
    let report = from_folder(&files).unwrap_err();
    assert!(
        report.contains("deep in others; include fewer files"),
        "{report}"
    );
    for (include, other, want) in [
        (
            "[none.yaml]",
            "",
            "main.yaml:3:11: include[0]: none.yaml: the file cannot be read (No such file or directory (os error 2)); check the path, which is relative to the file that names it",
        ),
        (
            "[main.yaml]",
            "",
            "main.yaml:3:11: include[0]: main.yaml includes itself, perhaps by way of others; remove it from one of the lists",
        ),
        (
            "[other.yaml]",
            "include: [./main.yaml]\n",
            "other.yaml: include: ./main.yaml includes itself, perhaps by way of others; remove it from one of the lists",
        ),
        (
            "[other.yaml]",
            "a: [\n",
            "other.yaml:2:1: this is not YAML: did not find expected node content; check indentation, colons and quotes there and in the line above",
        ),
        (
            "[other.yaml]",
            "router_settings: {num_retries: x}\n",
            "other.yaml:1:19: router_settings.num_retries: expected a whole number, 0 or more, found the text `x`; write a number such as 10",
        ),
        (
            "{a: 1}",
            "",
            "main.yaml:3:1: include: expected a list of files, found a mapping; write one `- file.yaml` a line",
        ),
        (
            "[1]",
            "",
            "main.yaml:3:11: include[0]: expected the name of a file, found the number `1`; write a path relative to this file",
        ),
    ] {
        let report =
            from_folder(&[("main.yaml", &main(include)), ("other.yaml", other)]).unwrap_err();
        assert_eq!(report, want, "{include} {other}");
    }
    assert_eq!(
        refused(&main("[x.yaml]")),
        "config.yaml:3:1: include: only a file can include others; name the file with --config"
    );
}

// === no text is too much ===

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
