//! Every config block of the tutorial starts the gateway, as it is written.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::keys::generate_key;
use crate::support::config::{ConfigText, Deployment};
use crate::support::gateway::{Home, chat_request};
use crate::support::reply::Reply;
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;

#[test]
fn every_block_of_the_tutorial_starts_the_gateway() {
    let server = Postgres::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/tutorial");
    for (name, database) in [
        ("configuration", None),
        (
            "authentication",
            Some("postgresql://user:pass@host:5432/litellm"),
        ),
        ("rate-limiting", None),
        ("cost-tracking", None),
        ("fallbacks", None),
        ("load-balancing", None),
        ("caching", None),
        ("logging", None),
        (
            "kubernetes-config",
            Some("postgresql://user:pass@postgres:5432/litellm"),
        ),
    ] {
        let mut text = fs::read_to_string(folder.join(format!("{name}.yaml"))).expect("a block");
        if let Some(written) = database {
            // The only change: the reader's own host and password stand in these two blocks, and `host` and `postgres`
            // are names of the reader's network.
            assert!(text.contains(written), "{name}");
            let url = server.database(&name.replace('-', "_"));
            text = text.replace(written, &url);
        }
        let mut home = Home::with_text(&text);
        for variable in [
            "OPENAI_API_KEY",
            "OPENAI_API_KEY_1",
            "OPENAI_API_KEY_2",
            "OPENAI_API_KEY_3",
            "ANTHROPIC_API_KEY",
            "GROQ_API_KEY",
        ] {
            home = home.variable(variable, "sk-hush-of-the-reader");
        }

        let mut gateway = home.start();

        gateway.keeps_secret(DATABASE_PASSWORD);
        gateway.keeps_secret("sk-hush-of-the-reader");
        let readiness = gateway.get("/health/readiness");
        assert_eq!(readiness.status, 200, "{name}: {}", readiness.text());
        gateway.stop();
    }
}

#[test]
fn what_the_file_says_of_a_user_holds_for_its_keys() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let models = ConfigText::one("m", &upstream)
        .deployment(Deployment::of("other", &upstream))
        .with_master_key()
        .text();
    // Each answer costs 0.000025 USD.
    let users = "user_config:
- {user_id: basic, user_email: b@example.com, user_role: app_user, models: [m], rpm_limit: 2, tpm_limit: 100000}
- {user_id: poor, models: [m], max_budget: 0.00003, budget_duration: 30d}
";
    let home = Home::with_text(&format!("{models}{users}"));
    let gateway = home.start();
    let key = |user: &str| generate_key(&gateway, &json!({"user_id": user}));
    let ask = |key: &str, model: &str| gateway.send(&chat_request(model).bearer(key));

    let (one, two) = (key("basic"), key("basic"));
    ask(&one, "other").assert_error(403, "user_model_access_denied");
    ask(&one, "m").assert_status(200);
    ask(&two, "m").assert_status(200);
    ask(&one, "m").assert_error(429, "throttling_error");
    let poor = key("poor");
    ask(&poor, "m").assert_status(200);
    ask(&poor, "m").assert_status(200);
    ask(&poor, "m").assert_error(422, "budget_exceeded");
}
