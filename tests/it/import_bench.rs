//! How long an import of many keys takes, into either database. Not a test: nothing is asserted about time, the figures are
//! printed. `cargo test --release --test it -- --ignored --nocapture import_bench`; `TRUNKLINE_BENCH_KEYS` says how many keys
//! (50,000).

use std::env;

use tokio::time::Instant;

use crate::import::{Scene, litellm, scene_on};

#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the benchmark, not of the gateway"
)]
fn keys() -> u32 {
    let keys = env::var("TRUNKLINE_BENCH_KEYS").ok();
    keys.and_then(|keys| keys.parse().ok()).unwrap_or(50_000)
}

/// A LiteLLM database with that many keys more, each with limits, a budget and something spent.
fn large(books: Option<&str>) -> Scene {
    let server = litellm();
    let keys = keys();
    server.sql(
        "litellm",
        &format!(
            "INSERT INTO \"LiteLLM_VerificationToken\" (token, key_name, key_alias, models, user_id, spend, max_budget, budget_duration, \
                 budget_reset_at, rpm_limit, tpm_limit, metadata, created_by) \
             SELECT sha('sk-bench-' || n), 'sk-...b' || lpad((n % 1000)::text, 3, '0'), 'bench-' || n, '{{}}', 'user-' || 1 + n % 300, \
                 0.001, 100, '30d', next_month(), 100, 100000, '{{\"tags\": [\"batch\"]}}', 'admin' \
             FROM generate_series(1, {keys}) AS n"
        ),
    );
    scene_on(server, books)
}

fn measure(scene: &Scene, store: &str) {
    for round in ["a first import", "a second one, which changes nothing"] {
        let began = Instant::now();
        // Some rows of the tests' cannot be taken.
        let (report, _) = scene.report(&[]);
        println!("{store}, {} keys, {round}: {:.1?}", keys(), began.elapsed());
        assert!(report.is_object());
    }
}

#[test]
#[ignore = "imports very many keys"]
fn many_keys_into_sqlite() {
    measure(&large(None), "SQLite");
}

#[test]
#[ignore = "imports very many keys"]
fn many_keys_into_postgres() {
    measure(&large(Some("books")), "PostgreSQL");
}
