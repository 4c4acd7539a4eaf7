//! Entries that stand in no file, read as a gateway with a small file would.

use serde_json::json;

use super::*;
use crate::config::{CliOverrides, ConfigSource, MapEnv, load};

fn env() -> MapEnv {
    MapEnv::new([
        ("OPENAI_API_KEY", "sk-env"),
        ("OWN_KEY", "sk-own"),
        ("LITELLM_MASTER_KEY", "sk-master-0123456789"),
        ("MY_MASTER_KEY", "sk-master-9876543210"),
        ("UI_PASSWORD", "hush-0123456789"),
        ("GENERIC_CLIENT_SECRET", "hush-9876543210"),
        ("CREDENTIAL", "file"),
    ])
}

fn read(entry: &Value, credential: Option<NamedValues<'_>>) -> Result<ReadEntry, ConfigErrors> {
    let text = "general_settings: {master_key: os.environ/MY_MASTER_KEY}\n\
                model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}}]\n\
                credential_list: [{credential_name: file, credential_values: {api_key: sk-file}}]\n\
                litellm_settings: {cost_discount_config: {openai: 0.5}}\n";
    let source = ConfigSource::Text {
        name: "config.yaml",
        text,
    };
    let config = load(source, &CliOverrides::default(), &env()).unwrap();
    config
        .entries
        .read(entry, Origin::Database, credential, &env())
}

fn key(read: &ReadEntry) -> &str {
    let key = read.deployments[0].api_key.as_ref();
    key.map_or("", |key| key.expose())
}

#[test]
fn a_stored_entry_is_what_the_same_one_of_a_file_would_be() {
    let entry = json!({"model_name": "b", "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/OWN_KEY",
        "rpm": 5, "input_cost_per_token": 1e-6, "output_cost_per_token": 0}, "model_info": {"id": "mine", "mode": "chat"}});
    let read = read(&entry, None).unwrap();
    assert_eq!(read.deployments.len(), 1);
    let one = &read.deployments[0];
    assert_eq!((one.id.as_str(), one.rpm), ("mine", Some(5)));
    assert_eq!(key(&read), "sk-own");
    let text = serde_yaml::to_string(&json!({"model_list": [entry],
        "litellm_settings": {"cost_discount_config": {"openai": 0.5}}}))
    .unwrap();
    let source = ConfigSource::Text {
        name: "config.yaml",
        text: &text,
    };
    let file = load(source, &CliOverrides::default(), &env()).unwrap();
    assert_eq!(file.deployments, read.deployments);
}

#[test]
fn credentials_of_the_file_and_of_the_database_are_found_by_name() {
    let named = |name: &str| json!({"model_name": "b", "litellm_params": {"model": "openai/gpt-4o", "litellm_credential_name": name}});
    let values = json!({"api_key": "sk-stored"});
    let stored = |name| NamedValues {
        name,
        values: values.as_object().unwrap(),
    };
    let of_file = read(&named("file"), Some(stored("file"))).unwrap();
    assert_eq!(key(&of_file), "sk-file");
    let of_database = read(&named("stored"), Some(stored("stored"))).unwrap();
    assert_eq!(key(&of_database), "sk-stored");
    for name in ["other", "os.environ/CREDENTIAL"] {
        let err = read(&named(name), None).unwrap_err();
        assert_eq!(
            err.problems[0].path,
            "litellm_params.litellm_credential_name"
        );
    }
}

#[test]
fn no_stored_credential_brings_a_secret_of_the_gateway_in() {
    let entry = json!({"model_name": "b", "litellm_params": {"model": "openai/gpt-4o", "litellm_credential_name": "stored"}});
    for variable in [
        "LITELLM_MASTER_KEY",
        "UI_PASSWORD",
        "GENERIC_CLIENT_SECRET",
        "MY_MASTER_KEY",
    ] {
        let values = json!({"api_key": format!("os.environ/{variable}")});
        let stored = NamedValues {
            name: "stored",
            values: values.as_object().unwrap(),
        };
        let err = read(&entry, Some(stored)).expect_err("is read");
        assert_eq!(err.problems[0].path, "litellm_params.api_key", "{err}");
        assert!(err.to_string().contains(variable), "{err}");
    }
}

#[test]
fn no_two_teams_have_one_group_whatever_they_call_theirs() {
    let group = |team: &str, name: &str| {
        let info = json!({"team_id": team, "team_public_model_name": name});
        let entry = json!({"model_name": "b", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": info});
        read(&entry, None).unwrap().deployments.remove(0).model_name
    };
    assert_ne!(group("a", "b_c"), group("a_b", "c"));
    assert_ne!(group("1", "1_c"), group("1_1", "c"));
}

#[test]
fn a_teams_model_is_in_a_group_of_its_own() {
    let of = |info: Value| {
        let entry = json!({"model_name": "b", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": info});
        let one = read(&entry, None).unwrap().deployments.remove(0);
        (one.model_name, one.team)
    };
    assert_eq!(of(json!({"team_id": " "})), ("b".to_owned(), None));
    let same = of(json!({"team_id": "t"}));
    assert_eq!(same.0, "model_name_t_b");
    let other = of(json!({"team_id": "t", "team_public_model_name": "c"}));
    assert_eq!(other.0, "model_name_t_c");
    let team = other.1.unwrap();
    assert_eq!(
        (team.team_id, team.public_name),
        ("t".to_owned(), "c".to_owned())
    );
}

#[test]
fn what_is_wrong_is_said_by_the_keys_of_the_entry() {
    let params = |params: Value| json!({"model_name": "b", "litellm_params": params});
    for (entry, path) in [
        (
            json!({"litellm_params": {"model": "openai/gpt-4o"}}),
            "model_name",
        ),
        (params(json!({})), "litellm_params.model"),
        (
            params(json!({"model": "openai/gpt-4o", "rpm": 0})),
            "litellm_params.rpm",
        ),
        (
            params(json!({"model": "openai/gpt-4o", "api_base": "nonsense"})),
            "litellm_params.api_base",
        ),
        // A file's entry would be left out.
        (
            params(json!({"model": "groq/llama"})),
            "litellm_params.api_key",
        ),
        (
            params(json!({"model": "groq/llama", "api_key": "os.environ/NOT_SET"})),
            "litellm_params.api_key",
        ),
        (
            params(
                json!({"model": "openai/gpt-4o", "extra_headers": {"x": "os.environ/LITELLM_MASTER_KEY"}}),
            ),
            "litellm_params.extra_headers.x",
        ),
        (
            params(json!({"model": "openai/gpt-4o", "organization": ["org-1", "org\n2"]})),
            "litellm_params.organization",
        ),
        (
            json!({"model_name": "b/*", "litellm_params": {"model": "openai/*"}, "model_info": {"team_id": "t"}}),
            "model_info.team_id",
        ),
        (
            json!({"model_name": "b", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"max_tokens": "many"}}),
            "model_info.max_tokens",
        ),
    ] {
        let err = read(&entry, None).expect_err("is read");
        assert_eq!(err.problems[0].path, path, "{err}");
    }
}
