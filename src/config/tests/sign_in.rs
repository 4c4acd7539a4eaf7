//! Variables of people who sign in.

use std::time::Duration;

use super::{loaded_with, with};
use crate::config::{MapEnv, SignInSettings};

const ONE: &str =
    "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-a}}\n";

fn signed(env: &MapEnv) -> SignInSettings {
    loaded_with(ONE, env).sign_in
}

fn refused<const N: usize>(variables: [(&str, &str); N]) -> String {
    with(ONE, &MapEnv::new(variables))
        .expect_err("loads")
        .to_string()
}

#[test]
fn google_and_microsoft_need_no_addresses() {
    let google = signed(&MapEnv::new([
        ("PROXY_BASE_URL", "https://llm.example/gw"),
        ("GOOGLE_CLIENT_ID", "g"),
        ("GOOGLE_CLIENT_SECRET", "s"),
        ("MICROSOFT_CLIENT_ID", "not asked"),
    ]));
    let base = google.base_url.expect("an address");
    assert_eq!(base.as_str(), "https://llm.example/gw/");
    let google = google.provider.expect("a provider");
    assert_eq!(google.client_id, "g");
    assert_eq!(
        google.token_endpoint.host_str(),
        Some("oauth2.googleapis.com")
    );
    assert_eq!(google.id_claim, "sub");
    let microsoft = signed(&MapEnv::new([
        ("PROXY_BASE_URL", "https://llm.example"),
        ("MICROSOFT_CLIENT_ID", "m"),
        ("MICROSOFT_CLIENT_SECRET", "s"),
        ("MICROSOFT_TENANT", "acme"),
        ("MICROSOFT_USERINFO_ENDPOINT", "https://graph.example/me"),
    ]));
    let microsoft = microsoft.provider.expect("a provider");
    let at = "https://login.microsoftonline.com/acme/oauth2/v2.0/token";
    assert_eq!(microsoft.token_endpoint.as_str(), at);
    assert_eq!(
        microsoft.userinfo_endpoint.as_str(),
        "https://graph.example/me"
    );
    assert_eq!(microsoft.role_claim, "roles");
}

#[test]
fn without_variables_there_is_the_form_with_the_master_key() {
    let settings = signed(&MapEnv::default());
    assert_eq!(settings.username, "admin");
    assert_eq!(settings.password, None);
    assert_eq!(settings.provider, None);
    assert_eq!(settings.session_life, Duration::from_hours(8));
    assert_eq!(settings.new_users.role, "internal_user_viewer");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let told = refused([("GENERIC_CLIENT_ID", "g")]);
    for name in [
        "GENERIC_CLIENT_SECRET",
        "GENERIC_AUTHORIZATION_ENDPOINT",
        "GENERIC_TOKEN_ENDPOINT",
        "GENERIC_USERINFO_ENDPOINT",
        "PROXY_BASE_URL",
    ] {
        assert!(
            told.contains(&format!("{name}: is not set")),
            "{name}: {told}"
        );
    }
    assert!(refused([("MICROSOFT_CLIENT_ID", "m")]).contains("MICROSOFT_TENANT"));
    for (name, value) in [
        ("PROXY_BASE_URL", "llm.example"),
        ("LITELLM_UI_SESSION_DURATION", "5s"),
    ] {
        assert!(refused([(name, value)]).contains(name), "{name}");
    }
    for (name, value) in [
        ("GENERIC_ROLE_MAPPINGS_DEFAULT_ROLE", "root"),
        ("GENERIC_ROLE_MAPPINGS_ROLES", "{'root': ['ops']}"),
        ("GENERIC_ROLE_MAPPINGS_ROLES", "ops"),
        ("GENERIC_TOKEN_ENDPOINT", "ftp://idp.example"),
    ] {
        let told = refused([
            ("PROXY_BASE_URL", "https://llm.example"),
            ("GENERIC_CLIENT_ID", "g"),
            ("GENERIC_CLIENT_SECRET", "hush"),
            (name, value),
        ]);
        assert!(told.contains(&format!("{name}: ")), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn what_new_users_get_must_make_sense() {
    let text = |params: &str| {
        format!("{ONE}litellm_settings:\n  default_internal_user_params: {{{params}}}\n")
    };
    let env = MapEnv::default();
    let new = loaded_with(&text("user_role: internal_user, max_budget: 1.5"), &env);
    let new = new.sign_in.new_users;
    assert_eq!(new.role, "internal_user");
    assert_eq!(
        new.max_budget.map(|amount| amount.to_string()).as_deref(),
        Some("1.5")
    );
    for wrong in [
        "user_role: root",
        "max_budget: much",
        "budget_duration: soon",
    ] {
        assert!(with(&text(wrong), &env).is_err(), "{wrong}");
    }
}
