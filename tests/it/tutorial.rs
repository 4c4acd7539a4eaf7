//! Every config block of the tutorial starts the gateway, as it is written.

use std::fs;
use std::path::Path;

use crate::support::gateway::Home;
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};

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
