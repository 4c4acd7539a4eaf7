//! `trunkline import-litellm`: a real LiteLLM database of hundreds of rows goes into SQLite and into PostgreSQL, and the gateway
//! is started on what came out.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::spend::pico;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;

const TABLES: &str = include_str!("../fixtures/import/tables.sql");
const ROWS: &str = include_str!("../fixtures/import/rows.sql");
/// What the models' parameters are encrypted with.
pub(crate) const SALT: &str = "sk-hush-salt-key";

/// What no output may hold.
const HUSH: &[&str] = &[
    DATABASE_PASSWORD,
    MASTER_KEY,
    SALT,
    "hush-password-hash",
    "hush-provider-key",
    "sk-import-told",
    "sk-import-unhashed-1",
];

pub(crate) struct Scene {
    pub(crate) server: Postgres,
    pub(crate) upstream: Upstream,
    pub(crate) home: Home,
}

pub(crate) fn litellm() -> Postgres {
    let server = Postgres::start();
    server.database("litellm");
    server.sql("litellm", TABLES);
    server.sql("litellm", ROWS);
    server
}

/// A LiteLLM database, and a home whose books are not there yet.
pub(crate) fn scene() -> Scene {
    scene_on(litellm(), None)
}

pub(crate) fn scene_on(server: Postgres, books: Option<&str>) -> Scene {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream).with_master_key();
    scene_with(server, books, upstream, config)
}

pub(crate) fn scene_with(
    server: Postgres,
    books: Option<&str>,
    upstream: Upstream,
    mut config: ConfigText,
) -> Scene {
    if let Some(books) = books {
        config = config.database(&server.database(books));
    }
    let home = Home::with(&config)
        .variable("SOURCE", &server.url("litellm"))
        .variable("SALT", SALT);
    Scene {
        server,
        upstream,
        home,
    }
}

impl Scene {
    pub(crate) fn import(&self, more: &[&str]) -> Output {
        let from = "os.environ/SOURCE";
        let mut arguments = vec!["import-litellm", "--config", "config.yaml", "--from", from];
        arguments.extend(more);
        let output = self.home.run(&arguments);
        let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
        for hush in HUSH {
            assert!(!said.concat().contains(hush), "{hush} is in {said:?}");
        }
        output
    }

    /// The report, and what the exit code was.
    #[track_caller]
    pub(crate) fn report(&self, more: &[&str]) -> (Value, Option<i32>) {
        let mut arguments = vec!["--json"];
        arguments.extend(more);
        let output = self.import(&arguments);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|err| {
            panic!("{err}: {}", String::from_utf8_lossy(&output.stderr));
        });
        (report, output.status.code())
    }

    pub(crate) fn start(&self) -> Gateway {
        let mut gateway = self.home.start();
        for hush in HUSH {
            gateway.keeps_secret(hush);
        }
        gateway.with_master_key()
    }
}

#[track_caller]
pub(crate) fn kind<'a>(report: &'a Value, name: &str) -> &'a Value {
    let kinds = report["kinds"].as_array().expect("kinds");
    let found = kinds.iter().find(|kind| kind["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// found, new, updated, unchanged, kept, not taken, left out
#[track_caller]
pub(crate) fn counts(report: &Value, name: &str) -> [u64; 7] {
    let kind = kind(report, name);
    [
        "found",
        "new",
        "updated",
        "unchanged",
        "kept",
        "not_taken",
        "left_out",
    ]
    .map(|count| kind[count].as_u64().expect(count))
}

/// Rows of one remark or reason.
pub(crate) fn told(report: &Value, name: &str, begins: &str) -> u64 {
    let kind = kind(report, name);
    let reasons = &kind["reasons"];
    let lists = [
        &kind["remarks"],
        &reasons["kept"],
        &reasons["not_taken"],
        &reasons["left_out"],
    ];
    let all = lists.iter().filter_map(|list| list.as_array()).flatten();
    all.filter(|told| {
        told["what"]
            .as_str()
            .is_some_and(|what| what.starts_with(begins))
    })
    .filter_map(|told| told["rows"].as_u64())
    .sum()
}

fn key(alias: &str) -> String {
    format!("sk-import-{alias}")
}

#[track_caller]
fn info(gateway: &Gateway, alias: &str) -> Value {
    let answer = gateway.get(&format!("/key/info?key={}", key(alias)));
    answer.assert_status(200);
    answer.json()["info"].clone()
}

#[track_caller]
fn ask(gateway: &Gateway, alias: &str) -> u16 {
    gateway.send(&chat_request("m").bearer(&key(alias))).status
}

/// What the first import says and what the gateway makes of it; the same on both databases.
fn check_taken(scene: &Scene) {
    let (report, code) = scene.report(&[]);
    assert_eq!(code, Some(1), "some rows cannot be taken: {report:#}");
    for (name, want) in [
        ("budgets", [3, 3, 0, 0, 0, 0, 0]),
        ("organizations", [1, 1, 0, 0, 0, 0, 0]),
        ("teams", [31, 30, 0, 0, 0, 1, 0]),
        ("users", [301, 300, 0, 0, 0, 0, 1]),
        ("organization members", [1, 1, 0, 0, 0, 0, 0]),
        ("team members", [61, 61, 0, 0, 0, 0, 0]),
        ("customers", [300, 250, 0, 0, 0, 0, 50]),
        ("tags", [1, 1, 0, 0, 0, 0, 0]),
        ("keys", [1527, 1524, 0, 0, 0, 2, 1]),
    ] {
        assert_eq!(counts(&report, name), want, "{name}: {report:#}");
    }
    assert_eq!(kind(&report, "organizations")["spent"], "12.25");
    assert_eq!(told(&report, "keys", "allowed_routes"), 0);
    assert_eq!(told(&report, "keys", "guardrails is kept"), 1);
    assert_eq!(told(&report, "keys", "its alias belongs to another key"), 1);
    assert_eq!(told(&report, "keys", "token is no SHA-256"), 1);
    assert_eq!(told(&report, "keys", "max_budget must be"), 1);
    assert_eq!(told(&report, "teams", "team_id holds a colon"), 1);
    assert_eq!(told(&report, "teams", "models is kept"), 0);
    assert_eq!(told(&report, "users", "user_role is not known"), 1);
    assert_eq!(told(&report, "customers", "default_model is kept"), 1);

    let gateway = scene.start();
    for (alias, status) in [
        ("plain", 200),
        ("many-1", 200),
        ("many-1500", 200),
        ("lasting", 200),
        ("unhashed-1", 200),
        ("told", 200),
        ("twin", 200),
        ("expired", 401),
        ("blocked", 401),
        ("page", 401),
        ("minus", 401),
        ("other-models", 403),
        ("of-narrow-team", 403),
        ("routes", 403),
        ("spent", 422),
        ("renewed", 200),
        ("left", 200),
        ("odd", 200),
        ("shared", 422),
        ("day", 422),
        ("of-blocked-team", 401),
        ("of-poor-team", 422),
        ("of-member", 422),
        ("of-default-member", 422),
        ("slow", 200),
        ("slow", 429),
        ("hurried", 200),
        ("hurried", 429),
        ("more", 200),
    ] {
        assert_eq!(ask(&gateway, alias), status, "{alias}");
    }
    check_answers(&gateway);
    gateway.stop();
    let (again, _) = scene.report(&[]);
    assert_eq!(again["changed"], false, "{again:#}");
}

/// What the endpoints tell of what came.
fn check_answers(gateway: &Gateway) {
    let spent = |alias: &str| pico(&info(gateway, alias)["spend"]);
    // The shortest decimal that means the float, to 1e-12.
    let cost = pico(&info(gateway, "lasting")["spend"]);
    assert!(cost > 0);
    assert_eq!(spent("plain"), 1_234_567_890_123 + cost);
    assert_eq!(spent("tiny"), 12_500_000);
    assert_eq!(spent("spent"), 10_000_000_000_000);
    assert_eq!(spent("renewed"), cost);
    assert_eq!(spent("left"), 4_000_000_000_000 + cost);

    let plain = info(gateway, "plain");
    assert_eq!(
        plain["metadata"],
        json!({"tags": ["batch"], "owner": {"name": "Ann"}})
    );
    assert_eq!(plain["user_id"], "user-1");
    assert_eq!(plain["key_name"], "sk-...lain");
    let left = info(gateway, "left");
    assert_eq!(left["budget_duration"], "30d");
    assert!(
        left["budget_reset_at"]
            .as_str()
            .is_some_and(|at| at.contains("-01T00:00:00.000Z"))
    );
    // Ten days are counted from where LiteLLM's window began.
    let odd = info(gateway, "odd");
    let resets: jiff::Timestamp = odd["budget_reset_at"].as_str().unwrap().parse().unwrap();
    let day = 86_400;
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(resets.as_second().div_euclid(day), now.div_euclid(day) + 3);
    let more = info(gateway, "more");
    assert_eq!(pico(&more["temp_budget_increase"]), 2_500_000_000_000);
    assert_eq!(more["metadata"], json!({}));
    assert_eq!(info(gateway, "twin")["key_alias"], Value::Null);
    assert_eq!(info(gateway, "told")["key_name"], "sk-...told");

    let team = gateway.get("/team/info?team_id=team-1");
    team.assert_status(200);
    let team = team.json();
    assert_eq!(team["team_info"]["team_alias"], "Team 1");
    assert_eq!(pico(&team["team_info"]["spend"]), 100_000_000_000);
    assert_eq!(team["team_info"]["metadata"], json!({"cost_center": 1}));
    let members = team["team_memberships"].as_array().unwrap();
    let told: Vec<_> = members
        .iter()
        .map(|one| (one["user_id"].as_str().unwrap(), pico(&one["spend"])))
        .collect();
    assert_eq!(
        told,
        [
            ("user-1", 500_000_000_000),
            ("user-2", 0),
            ("user-9", 250_000_000_000)
        ]
    );
    assert_eq!(team["team_info"]["members_with_roles"][0]["role"], "admin");
    let budgets = gateway.post("/budget/info", &json!({"budgets": ["slow"]}));
    budgets.assert_status(200);
    assert_eq!(budgets.json()[0]["tpd_limit"], 500_000);
    let customer = gateway.get("/customer/info?end_user_id=customer-4");
    customer.assert_status(200);
    assert_eq!(customer.json()["alias"], "Customer 4");
    assert_eq!(pico(&customer.json()["spend"]), 4_000_000_000);
}

#[test]
fn what_litellm_had_works_on_sqlite() {
    check_taken(&scene());
}

#[test]
fn what_litellm_had_works_on_postgres() {
    check_taken(&scene_on(litellm(), Some("books")));
}

/// All that an import writes, of a SQLite home.
fn books(home: &Home) -> Vec<String> {
    let books = home.books();
    let tables = [
        "virtual_keys",
        "tenants",
        "balances",
        "openings",
        "imported",
    ];
    let rows = tables.iter().flat_map(|table| {
        let mut statement = books.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|n| row.get_ref(n).map(|value| format!("{value:?}")));
            Ok(values.collect::<Result<Vec<_>, _>>()?.join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn a_second_import_changes_nothing_and_says_so() {
    let scene = scene();
    scene.report(&[]);
    let before = books(&scene.home);

    let (report, _) = scene.report(&[]);

    assert_eq!(report["changed"], false, "{report:#}");
    assert_eq!(counts(&report, "keys"), [1527, 0, 0, 1524, 0, 2, 1]);
    assert_eq!(counts(&report, "users"), [301, 0, 0, 300, 0, 0, 1]);
    assert_eq!(kind(&report, "keys")["spent"], "0");
    assert_eq!(books(&scene.home), before);
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_come() {
    let scene = scene();

    let (report, _) = scene.report(&["--dry-run"]);

    assert_eq!(counts(&report, "keys")[..2], [1527, 1524]);
    assert_eq!(kind(&report, "tags")["spent"], "3.5");
    assert!(!scene.home.path().join("trunkline.db").exists());

    scene.report(&[]);
    scene.server.sql(
        "litellm",
        "UPDATE \"LiteLLM_VerificationToken\" SET spend = spend + 1, rpm_limit = 7 WHERE key_alias = 'left'",
    );
    let before = books(&scene.home);
    let (report, _) = scene.report(&["--dry-run"]);
    assert_eq!(counts(&report, "keys"), [1527, 0, 1, 1523, 0, 2, 1]);
    assert_eq!(kind(&report, "keys")["spent"], "1");
    assert_eq!(books(&scene.home), before);
}

#[test]
fn what_was_spent_there_meanwhile_comes_too_and_never_twice() {
    let scene = scene();
    scene.report(&[]);
    let gateway = scene.start();
    assert_eq!(ask(&gateway, "left"), 200);
    let here = pico(&info(&gateway, "left")["spend"]) - 4_000_000_000_000;
    gateway.stop();

    scene.server.sql(
        "litellm",
        "UPDATE \"LiteLLM_VerificationToken\" SET spend = 5.5 WHERE key_alias = 'left'",
    );
    for (spent, changed) in [("1.5", true), ("0", false)] {
        let (report, _) = scene.report(&[]);
        assert_eq!(kind(&report, "keys")["spent"], spent, "{report:#}");
        assert_eq!(report["changed"], changed);
    }

    let gateway = scene.start();
    let spent = pico(&info(&gateway, "left")["spend"]);
    assert_eq!(spent, 5_500_000_000_000 + here);
}

#[test]
fn what_was_changed_here_stays_unless_it_is_to_be_overwritten() {
    let scene = scene();
    scene.report(&[]);
    let gateway = scene.start();
    for (path, body) in [
        ("/key/update", json!({"key": key("plain"), "rpm_limit": 5})),
        (
            "/team/update",
            json!({"team_id": "team-1", "team_alias": "Ours"}),
        ),
    ] {
        gateway
            .send(&Request::post(path, &body).bearer(MASTER_KEY))
            .assert_status(200);
    }
    gateway.stop();

    let (report, _) = scene.report(&[]);
    assert_eq!(counts(&report, "keys")[2..5], [0, 1523, 1]);
    assert_eq!(counts(&report, "teams")[2..5], [0, 29, 1]);
    assert_eq!(told(&report, "teams", "was changed here"), 1);

    let (report, _) = scene.report(&["--overwrite"]);
    assert_eq!(counts(&report, "keys")[2..5], [1, 1523, 0]);
    let gateway = scene.start();
    assert_eq!(info(&gateway, "plain")["rpm_limit"], Value::Null);
    let team = gateway.get("/team/info?team_id=team-1").json();
    assert_eq!(team["team_info"]["team_alias"], "Team 1");
}

#[test]
fn an_older_database_without_some_tables_and_columns_is_read_all_the_same() {
    let server = litellm();
    server.sql(
        "litellm",
        "DROP TABLE \"LiteLLM_BudgetWindowSpend\", \"LiteLLM_TagTable\", \"LiteLLM_OrganizationMembership\", \"LiteLLM_CredentialsTable\"; \
         ALTER TABLE \"LiteLLM_VerificationToken\" DROP budget_limits, DROP organization_id, DROP allowed_routes, DROP key_type, \
             DROP budget_id, DROP blocked, DROP created_by, DROP updated_at; \
         ALTER TABLE \"LiteLLM_TeamTable\" DROP members_with_roles, DROP budget_limits, DROP policies; \
         ALTER TABLE \"LiteLLM_TeamMembership\" DROP total_spend; \
         ALTER TABLE \"LiteLLM_UserTable\" DROP user_alias, DROP metadata, DROP created_at, DROP updated_at; \
         ALTER TABLE \"LiteLLM_BudgetTable\" DROP budget_reset_at, DROP tpd_limit",
    );
    let scene = scene_on(server, None);

    let (report, _) = scene.report(&[]);

    assert_eq!(kind(&report, "tags")["absent"], true);
    assert_eq!(counts(&report, "keys"), [1527, 1524, 0, 0, 0, 2, 1]);
    assert_eq!(counts(&report, "team members")[..2], [3, 3]);
    let missing = kind(&report, "users")["missing_columns"].to_string();
    assert!(missing.contains("user_alias"), "{missing}");
    let gateway = scene.start();
    for (alias, status) in [("plain", 200), ("spent", 422), ("expired", 401)] {
        assert_eq!(ask(&gateway, alias), status, "{alias}");
    }
}

#[test]
fn a_window_that_ends_at_another_time_here_is_said() {
    let scene = scene();
    let config = fs::read_to_string(scene.home.config_path()).unwrap();
    let elsewhere = format!("{config}\nlitellm_settings:\n  timezone: Asia/Tokyo\n");
    for (config, said) in [(config, 0), (elsewhere, 3)] {
        fs::write(scene.home.config_path(), config).unwrap();
        let (report, _) = scene.report(&["--dry-run"]);
        let what = "the window that runs ends at another time here";
        assert_eq!(told(&report, "keys", what), said, "{report:#}");
    }
}

#[test]
fn a_database_that_is_not_litellms_is_refused_with_the_reason() {
    let server = Postgres::start();
    server.database("litellm");
    let scene = scene_on(server, None);
    let output = scene.import(&[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has no tables of LiteLLM"), "{said}");

    let said = |from: &str| {
        let arguments = ["import-litellm", "--config", "config.yaml", "--from", from];
        let output = scene.home.run(&arguments);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (from, reason) in [
        ("sqlite:///litellm.db", "LiteLLM's database is PostgreSQL"),
        (
            "os.environ/NOWHERE",
            "environment variable NOWHERE is not set",
        ),
        (&scene.server.url("nothing"), "no database of that name"),
        (
            &format!("{}&schema=other", scene.server.url("litellm")),
            "?schema=NAME",
        ),
    ] {
        let said = said(from);
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains(DATABASE_PASSWORD), "{said}");
    }
}
