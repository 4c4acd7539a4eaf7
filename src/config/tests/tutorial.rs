//! The tutorial's blocks, as they are written.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ONE, groups, loaded, paths, refused, said, with};
use crate::config::{Config, DatabaseUrl, MapEnv, NoticeKind, RoutingHint, Secret};

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
        ("authentication", vec![], vec![], vec!["general_settings"]),
        ("rate-limiting", vec![], vec![], vec![]),
        ("cost-tracking", vec![], vec![], vec![]),
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

/// Loads `text` where Anthropic's key is not set.
fn without_anthropic(text: &str) -> Config {
    let env = MapEnv::new([
        ("OPENAI_API_KEY", "sk-openai"),
        ("GROQ_API_KEY", "gsk-groq"),
    ]);
    with(text, &env).unwrap_or_else(|err| panic!("{err}"))
}

#[test]
fn the_tutorials_file_loads_without_the_provider_whose_key_is_not_set() {
    let config = without_anthropic(
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
        let config = without_anthropic(text);
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
