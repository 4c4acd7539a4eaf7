//! `trunkline litellm-views`: a dashboard that was made for LiteLLM's tables reads our books.

use std::process::Output;

use serde_json::json;

use crate::keys::generate;
use crate::spend::{COST_PICO, whole_or_streamed};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Home, chat_request_body};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;

/// Books with two requests of one key on them, and the key's hash.
fn scene() -> (Postgres, Home, String) {
    let server = Postgres::start();
    let upstream = Upstream::answering(whole_or_streamed);
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .database(&server.database("books"));
    let home = Home::with(&config);
    let mut gateway = home.start();
    gateway.keeps_secret(DATABASE_PASSWORD);
    let master = |path: &str, body| {
        let answer = gateway.send(&Request::post(path, &body).bearer(MASTER_KEY));
        answer.assert_status(200);
    };
    master(
        "/team/new",
        json!({"team_id": "t", "team_alias": "Search", "max_budget": 50, "budget_duration": "30d"}),
    );
    master(
        "/team/member_add",
        json!({"team_id": "t", "member": {"user_id": "ann", "role": "admin"}}),
    );
    let key = generate(
        &gateway,
        &json!({"user_id": "ann", "team_id": "t", "key_alias": "a", "models": ["m", "n"], "duration": "30d", "rpm_limit": 60}),
    );
    let mut body = chat_request_body("m");
    body["user"] = json!("customer");
    body["metadata"] = json!({"tags": ["night"]});
    for _ in 0..2 {
        let secret = key["key"].as_str().unwrap();
        gateway
            .send(&Request::post("/v1/chat/completions", &body).bearer(secret))
            .assert_status(200);
    }
    gateway.stop();
    (server, home, key["token"].as_str().unwrap().to_owned())
}

fn views(home: &Home, more: &[&str]) -> Output {
    let mut arguments = vec!["litellm-views", "--config", "config.yaml", "--schema"];
    arguments.extend(more);
    let output = home.run(&arguments);
    for said in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(said).contains(DATABASE_PASSWORD));
    }
    output
}

#[test]
fn a_dashboard_for_litellm_reads_the_same_figures_from_the_views() {
    let (server, home, token) = scene();

    let made = views(&home, &["dash board"]);

    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let ask = |sql: &str| server.sql("books", &format!("SET search_path = 'dash board'; {sql}"));
    let spent = 2 * COST_PICO;
    for (sql, want) in [
        (
            "SELECT token, key_alias, user_id, team_id, models[2], rpm_limit, round(spend * 1e12), expires > now() AT TIME ZONE 'UTC', blocked \
          FROM \"LiteLLM_VerificationToken\"",
            format!("{token}|a|ann|t|n|60|{spent}|t|f"),
        ),
        (
            "SELECT team_alias, max_budget, budget_duration, round(spend * 1e12), members_with_roles ->> 0 FROM \"LiteLLM_TeamTable\"",
            format!("Search|50|30d|{spent}|{{\"role\": \"admin\", \"user_id\": \"ann\"}}"),
        ),
        (
            "SELECT user_id, user_role, teams, round(spend * 1e12) FROM \"LiteLLM_UserTable\" WHERE user_id = 'ann'",
            format!("ann|internal_user|{{t}}|{spent}"),
        ),
        (
            "SELECT team_id, user_id FROM \"LiteLLM_TeamMembership\"",
            "t|ann".to_owned(),
        ),
        (
            "SELECT count(*), round(sum(spend) * 1e12), min(api_key), min(\"user\"), min(team_id), min(end_user), min(request_tags ->> 0), min(status), \
          bool_and(\"endTime\" >= \"startTime\") FROM \"LiteLLM_SpendLogs\"",
            format!("2|{spent}|{token}|ann|t|customer|night|success|t"),
        ),
        (
            "SELECT user_id, api_key, model_group, api_requests, successful_requests, round(spend * 1e12), date = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') \
          FROM \"LiteLLM_DailyUserSpend\"",
            format!("ann|{token}|m|2|2|{spent}|t"),
        ),
        (
            "SELECT team_id, round(spend * 1e12) FROM \"LiteLLM_DailyTeamSpend\"",
            format!("t|{spent}"),
        ),
        (
            "SELECT tag, round(spend * 1e12) FROM \"LiteLLM_DailyTagSpend\"",
            format!("night|{spent}"),
        ),
        (
            "SELECT end_user_id, round(spend * 1e12) FROM \"LiteLLM_DailyEndUserSpend\"",
            format!("customer|{spent}"),
        ),
        (
            "SELECT count(*) FROM \"LiteLLM_OrganizationTable\", \"LiteLLM_TagTable\", \"LiteLLM_EndUserTable\", \"LiteLLM_BudgetTable\", \"LiteLLM_DailyOrganizationSpend\"",
            "0".to_owned(),
        ),
        (
            "SELECT string_agg(DISTINCT data_type, ',') FROM information_schema.columns WHERE table_schema = 'dash board' AND column_name = 'spend'",
            "double precision".to_owned(),
        ),
        (
            "SELECT string_agg(DISTINCT data_type, ',') FROM information_schema.columns WHERE table_schema = 'dash board' \
          AND column_name IN ('startTime', 'endTime', 'created_at', 'expires')",
            "timestamp without time zone".to_owned(),
        ),
    ] {
        assert_eq!(ask(sql), want, "{sql}");
    }
}

#[test]
fn views_are_made_again_and_dropped_and_nothing_else_is() {
    let (server, home, _) = scene();
    let count = || {
        server.sql(
            "books",
            "SELECT count(*) FROM pg_views WHERE schemaname = 'llm'",
        )
    };
    for _ in 0..2 {
        assert!(views(&home, &["llm"]).status.success());
        assert_eq!(count(), "14");
    }
    server.sql("books", "CREATE VIEW llm.mine AS SELECT 1 AS one");
    let dropped = views(&home, &["llm", "--drop"]);
    assert!(dropped.status.success());
    assert!(String::from_utf8_lossy(&dropped.stdout).contains("dropped llm.\"LiteLLM_SpendLogs\""));
    assert_eq!(count(), "1");

    server.sql(
        "books",
        "CREATE TABLE llm.\"LiteLLM_UserTable\" (user_id text)",
    );
    let refused = views(&home, &["llm"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("llm.LiteLLM_UserTable"), "{said}");
    assert_eq!(count(), "1");
    assert!(views(&home, &["llm", "--drop"]).status.success());
    server.sql("books", "SELECT user_id FROM llm.\"LiteLLM_UserTable\"");

    for schema in ["trunkline", ""] {
        assert!(!views(&home, &[schema]).status.success(), "{schema:?}");
    }
}

#[test]
fn books_in_sqlite_have_no_views_and_it_is_said_why() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&ConfigText::one("m", &upstream).with_master_key());
    let refused = views(&home, &["llm"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("the books are in SQLite"), "{said}");
}
