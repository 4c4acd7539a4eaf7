//! LiteLLM's dialect.

use std::fmt::Write as _;

use super::{ONE, loaded, paths, refused, said, with};
use crate::config::{MapEnv, NoticeKind, Secret};

#[test]
fn a_planned_switch_that_is_where_it_is_anyway_is_not_said() {
    let noted = |value: &str| {
        let config = loaded(&format!(
            "{ONE}litellm_settings: {{cost_tracking: {value}}}\n"
        ));
        let noted = paths(&config, NoticeKind::NotActedOn);
        noted.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(noted("true"), [""; 0]);
    assert_eq!(noted("false"), ["litellm_settings.cost_tracking"]);
}

#[test]
fn each_planned_key_is_one_line_however_many_entries_have_it() {
    let mut text = "model_list:\n".to_owned();
    for number in 0..5 {
        writeln!(text, "- {{model_name: m{number}, litellm_params: {{model: gpt-4o, tag_regex: [x], itpm: 1}}, colour: red}}").unwrap();
    }
    text.push_str("general_settings: {proxy_batch_write_at: 10, allowed_routes: }\n");
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
