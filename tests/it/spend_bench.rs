//! `make bench-spend`: how long the questions to the books take when these are large. Not a test: nothing is asserted about
//! time, the figures are printed.
//!
//! Rows and roll-ups are made by SQL, as many requests as `TRUNKLINE_BENCH_ROWS` (10 million) over 90 days, of 2,000 keys (the
//! first are busier), 200 users, 20 teams, 4 organisations, 50 models, 100 tags and 10,000 customers; a key uses 5 of the
//! models, 3 of the tags and serves 20 of the customers. Then each endpoint's default page is asked for by HTTP.

use std::env;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rusqlite::Connection;
use tokio::time::Instant;

use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::Upstream;

const DAYS: u64 = 90;
const DAY_MS: u64 = 86_400_000;
const ASKED: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

fn rows_of_a_day() -> u64 {
    let rows = env::var_os("TRUNKLINE_BENCH_ROWS")
        .and_then(|rows| rows.to_str()?.parse().ok())
        .unwrap_or(10_000_000_u64);
    rows / DAYS
}

fn today() -> u64 {
    let now = u64::try_from(Timestamp::now().as_millisecond()).expect("after 1970");
    now / DAY_MS
}

/// What fills one day: its rows, then the roll-ups from them.
#[expect(clippy::too_many_lines, reason = "statements, one after the other")]
fn fill(dialect: Dialect, day: u64) -> Vec<String> {
    let rows = rows_of_a_day();
    let (first, since) = ((day + DAYS - today() - 1) * rows, day * DAY_MS);
    let (numbers, schema, false_, true_, pad): (String, _, _, _, fn(&str, usize) -> String) =
        match dialect {
            Dialect::Sqlite => (
                format!(
                    "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1)"
                ),
                "",
                "0",
                "1",
                |number, width| format!("printf('%0{width}d', {number})"),
            ),
            Dialect::Postgres => (
                format!(
                    "WITH numbers AS (SELECT n FROM generate_series(0::bigint, {rows} - 1) AS n)"
                ),
                "trunkline.",
                "false",
                "true",
                |number, width| format!("lpad(({number})::text, {width}, '0')"),
            ),
        };
    let cast = if dialect == Dialect::Postgres {
        "::int"
    } else {
        ""
    };
    let time: Vec<String> = (0..10)
        .map(|at| {
            let shift = 45 - 5 * at;
            format!(
                "substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', ((ms >> {shift}) & 31){cast} + 1, 1)"
            )
        })
        .collect();
    let id = format!("{} || {}", time.join(" || "), pad("g", 16));
    let least = if dialect == Dialect::Postgres {
        "least"
    } else {
        "min"
    };
    let (day_column, day_value) = match dialect {
        Dialect::Sqlite => ("", String::new()),
        Dialect::Postgres => ("day, ", format!("date '1970-01-01' + {day}, ")),
    };
    let spend = match dialect {
        Dialect::Sqlite => "r1 % 50000000000",
        Dialect::Postgres => "(r1 % 50000000000) * 1e-12",
    };
    let insert = format!(
        "{numbers}, seeds AS (SELECT n, {first} + n AS g, {since} + n * {DAY_MS} / {rows} AS ms, \
                (({first} + n + 1) * 48271) % 2147483647 AS r1, (({first} + n + 1) * 69621) % 2147483629 AS r2 FROM numbers), \
         drawn AS (SELECT *, {least}(r1 % 2000, r2 % 2000) AS k FROM seeds) \
         INSERT INTO {schema}spend_logs ({day_column}id, request_id, call_type, status, key_id, key_alias, user_id, end_user, \
             model_group, model, deployment, provider, api_base, stream, started_at, first_content_at, ended_at, input_uncached, \
             cache_read, cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, audio_output, \
             prompt_tokens, completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, attempts, \
             error_code, tags, team_id, organization_id, client_ip, budgets) \
         SELECT {day_value}{id}, 'chatcmpl-' || g, CASE WHEN r2 % 9 = 0 THEN 'aembedding' ELSE 'acompletion' END, \
             CASE WHEN r2 % 50 = 0 THEN 'failure' ELSE 'success' END, {key}, 'key-' || k, 'user-' || (k % 200), \
             'customer-' || ((k * 5 + r2 % 20) % 10000), 'group-' || ((k * 7 + r1 % 5) % 50), 'model-' || ((k * 7 + r1 % 5) % 50), \
             'deployment-' || (k % 50), 'provider-' || ((k * 7 + r1 % 5) % 5), 'https://api.example.com/v1', {true_}, ms, ms + 300, \
             ms + 1500, r1 % 4000, 0, 0, 0, 0, 0, r2 % 1000, 0, 0, r1 % 4000, r2 % 1000, r1 % 4000 + r2 % 1000, {false_}, {spend}, \
             '2026-11-01', {false_}, 1, NULL, ('[\"tag-' || ((k * 3 + r1 % 3) % 100) || '\"]'){json}, 'team-' || (k % 20), \
             'org-' || (k % 4), '10.0.0.7', '[]'{plain_json} FROM drawn",
        key = pad("k", 64),
        json = if dialect == Dialect::Postgres {
            "::jsonb"
        } else {
            ""
        },
        plain_json = if dialect == Dialect::Postgres {
            "::json"
        } else {
            ""
        },
    );
    let mut all = vec![insert];
    let is_hit = match dialect {
        Dialect::Sqlite => "sum(cache_hit)",
        Dialect::Postgres => "count(*) FILTER (WHERE cache_hit)",
    };
    let counts = format!(
        "count(*), count(*) FILTER (WHERE status = 'success'), count(*) FILTER (WHERE status <> 'success'), \
         count(*) - count(cost), {is_hit}, sum(prompt_tokens), sum(completion_tokens), sum(cache_read), \
         sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)"
    );
    let (is_day, at, tag, labelled) = match dialect {
        Dialect::Sqlite => {
            let first_id = |day: u64| ulid(day * DAY_MS);
            (
                format!(
                    "spend_logs.id >= '{}' AND spend_logs.id < '{}'",
                    first_id(day),
                    first_id(day + 1)
                ),
                day.to_string(),
                "value",
                "spend_logs, json_each(tags)",
            )
        }
        Dialect::Postgres => (
            format!("day = date '1970-01-01' + {day}"),
            format!("date '1970-01-01' + {day}"),
            "value",
            "trunkline.spend_logs, jsonb_array_elements_text(tags) AS value",
        ),
    };
    let what = "model_group, model, provider, call_type";
    for (table, names, from) in [
        (
            "daily_spend",
            format!("key_id, user_id, team_id, organization_id, {what}"),
            "spend_logs",
        ),
        (
            "daily_team_spend",
            format!("team_id, organization_id, {what}"),
            "spend_logs",
        ),
    ] {
        all.push(format!(
            "INSERT INTO {schema}{table} SELECT {at}, {names}, {counts} FROM {schema}{from} WHERE {is_day} GROUP BY {names}"
        ));
    }
    for (kind, label, from) in [
        ("end_user", "end_user", format!("{schema}spend_logs")),
        ("tag", tag, labelled.to_owned()),
    ] {
        all.push(format!(
            "INSERT INTO {schema}daily_label_spend SELECT '{kind}', {label}, {at}, key_id, {what}, {counts} FROM {from} \
             WHERE {is_day} GROUP BY {label}, key_id, {what}"
        ));
    }
    let sums = "sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens), \
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)";
    for (kind, name) in [
        ("api_key", "key_id"),
        ("user", "user_id"),
        ("team", "team_id"),
        ("organization", "organization_id"),
        ("model", "model_group"),
        ("provider", "provider"),
    ] {
        all.push(format!(
            "INSERT INTO {schema}daily_subject_spend SELECT '{kind}', {name}, day, {sums} FROM {schema}daily_spend \
             WHERE day = {at} GROUP BY {name}, day"
        ));
    }
    all.push(format!(
        "INSERT INTO {schema}daily_subject_spend SELECT 'global', '', day, {sums} FROM {schema}daily_spend WHERE day = {at} GROUP BY day"
    ));
    for kind in ["end_user", "tag"] {
        all.push(format!(
            "INSERT INTO {schema}daily_subject_spend SELECT kind, label, day, {sums} FROM {schema}daily_label_spend \
             WHERE kind = '{kind}' AND day = {at} GROUP BY kind, label, day"
        ));
    }
    all
}

/// The smallest id of that time.
fn ulid(ms: u64) -> String {
    let letters = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let time = (0..10).map(|at| {
        let place = (ms >> (45 - 5 * at)) & 31;
        char::from(letters[usize::try_from(place).expect("five bits")])
    });
    time.chain("0".repeat(16).chars()).collect()
}

/// Keys and users, so that lists have names for them.
fn fill_tenants(dialect: Dialect) -> Vec<String> {
    let (schema, pad, numbers) = match dialect {
        Dialect::Sqlite => (
            "",
            "printf('%064d', n)",
            "(WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1999) SELECT n FROM numbers)",
        ),
        Dialect::Postgres => (
            "trunkline.",
            "lpad(n::text, 64, '0')",
            "(SELECT n FROM generate_series(0, 1999) AS n)",
        ),
    };
    vec![
        format!(
            "INSERT INTO {schema}virtual_keys (id, key_name, alias, user_id, created_at) \
             SELECT {pad}, 'sk-...' || n, 'key-' || n, 'user-' || (n % 200), 0 FROM {numbers} AS numbers"
        ),
        format!(
            "INSERT INTO {schema}tenants (kind, id, role, created_at, updated_at) SELECT 'user', 'user-' || n, 'internal_user', 0, 0 \
             FROM {numbers} AS numbers WHERE n < 200"
        ),
    ]
}

fn questions() -> Vec<(String, &'static str)> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let month = format!("start_date={}&end_date={today}", today - 29.days());
    let key = format!("{:064}", 77);
    let mut all: Vec<(String, &str)> = [
        "/user/spend?user_id=user-7",
        "/global/spend",
        "/spend/logs?limit=100",
        "/spend/logs",
        "/spend/logs/v2",
        "/spend/logs/v2?page=100",
        "/spend/logs/v2?user_id=user-7",
        "/spend/logs/v2?end_user=customer-7",
        "/spend/logs/v2?status_filter=failure",
        "/spend/logs/v2?model=model-7&min_spend=0.0499999",
        "/spend/keys",
        "/spend/users",
        "/spend/tags",
        "/global/spend/keys",
        "/global/spend/models",
        "/global/spend/teams",
        "/global/spend/logs",
        "/global/spend/all_tag_names",
        "/global/spend/all_end_users",
    ]
    .map(|path| (path.to_owned(), "GET"))
    .into();
    all.push(("/global/spend/end_users".to_owned(), "POST"));
    all.push((format!("/spend/logs/v2?api_key={key}"), "GET"));
    for path in [
        "/spend/logs",
        "/global/spend/tags",
        "/global/spend/provider",
        "/global/activity",
        "/global/activity/model",
        "/global/activity/cache_hits",
        "/global/activity/exceptions",
        "/user/daily/activity",
        "/user/daily/activity?user_id=user-7",
        "/team/daily/activity",
        "/team/daily/activity?team_ids=team-7",
        "/organization/daily/activity",
        "/tag/daily/activity",
        "/tag/daily/activity?tags=tag-7",
        "/customer/daily/activity",
        "/customer/daily/activity?end_user_ids=customer-7",
        "/key/spend/report?api_key=KEY",
        "/user/spend/report?user_id=user-7",
        "/team/spend/report?team_id=team-7",
        "/global/spend/report?group_by=api_key",
        "/global/spend/report?group_by=team&team_id=team-7",
    ] {
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = path.replace("KEY", &key);
        all.push((format!("{path}{sign}{month}"), "GET"));
    }
    all
}

fn measure(gateway: &Gateway, store: &str) {
    println!("\n{store}: {} rows of {DAYS} days", rows_of_a_day() * DAYS);
    println!("{:>8} {:>8} {:>9}  question", "p50 ms", "p95 ms", "bytes");
    for (path, method) in questions() {
        let request = Request::new(method, &path).bearer(MASTER_KEY);
        let first = gateway.send(&request);
        let bytes = first.text().len();
        let mut taken: Vec<Duration> = (0..ASKED)
            .map(|_| {
                let begun = Instant::now();
                let answer = gateway.send(&request);
                let taken = begun.elapsed();
                assert_eq!(answer.status, first.status, "{path}: {}", answer.text());
                taken
            })
            .collect();
        taken.sort_unstable();
        let ms = |at: usize| taken[at].as_secs_f64() * 1_000.0;
        let (half, most) = (ms(ASKED / 2), ms(ASKED * 19 / 20));
        println!(
            "{half:8.1} {most:8.1} {bytes:9}  {} {method} {path}",
            first.status
        );
    }
}

fn config(upstream: &Upstream) -> ConfigText {
    ConfigText::one("m", upstream).with_master_key()
}

#[test]
#[ignore = "fills ten million rows: make bench-spend"]
fn questions_to_large_books_on_sqlite() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&config(&upstream));
    home.start().stop();
    let store = Connection::open(home.path().join("trunkline.db")).expect("the store opens");
    store
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000",
        )
        .expect("pragmas");
    let begun = Instant::now();
    for statement in fill_tenants(Dialect::Sqlite) {
        store.execute_batch(&statement).expect("tenants are made");
    }
    for day in (today() + 1 - DAYS)..=today() {
        let statements = fill(Dialect::Sqlite, day).join("; ");
        store
            .execute_batch(&format!("BEGIN; {statements}; COMMIT"))
            .unwrap_or_else(|err| panic!("{err}: {statements}"));
    }
    drop(store);
    println!("filled in {:.0?}", begun.elapsed());
    let gateway = home.start();
    measure(&gateway, "SQLite");
}

#[test]
#[ignore = "fills ten million rows: make bench-spend"]
fn questions_to_large_books_on_postgres() {
    let server = Postgres::start();
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&config(&upstream).database(&server.database("large")));
    home.start().stop();
    let begun = Instant::now();
    server.sql("large", &fill_tenants(Dialect::Postgres).join("; "));
    for day in (today() + 1 - DAYS)..=today() {
        let date = Date::constant(1970, 1, 1)
            .checked_add(i64::try_from(day).expect("a small number").days())
            .expect("a date");
        let (name, next) = (date.strftime("%Y%m%d"), date + 1.day());
        let statements = fill(Dialect::Postgres, day).join("; ");
        server.sql(
            "large",
            &format!(
                "CREATE TABLE trunkline.spend_logs_{name} PARTITION OF trunkline.spend_logs FOR VALUES FROM ('{date}') TO ('{next}'); \
                 {statements}"
            ),
        );
    }
    server.sql("large", "VACUUM ANALYZE");
    println!("filled in {:.0?}", begun.elapsed());
    let mut gateway = home.start();
    gateway.keeps_secret(DATABASE_PASSWORD);
    measure(&gateway, "PostgreSQL");
}
