//! Who may call what: every route of the table by every kind of caller, against `tests/fixtures/access.txt`.
//!
//! Routes are read from `/openapi.json`, which is made from the route table, so a new route is in here at once and fails until
//! it has its line. Each is asked for things of one tenant, `zebra`, whose objects all have that word in their ids: whoever is
//! a stranger to it must find the word in no answer. `TRUNKLINE_BLESS=1` writes the file anew.

mod sample;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use self::sample::request;
use self::world::{CALLERS, World};
use crate::support::gateway::Gateway;

/// Where the lines are.
const TABLE: &str = "tests/fixtures/access.txt";
/// Who must never see or touch anything of the tenant.
const STRANGERS: [&str; 2] = ["stranger", "nobody"];
/// Routes that send a browser on, or back.
const SENT_ON: [&str; 2] = ["/login", "/sso/callback"];
/// Who is refused everywhere but at open routes.
const UNIDENTIFIED: [&str; 7] = [
    "none", "junk", "unknown", "expired", "blocked", "deleted", "stopped",
];

/// Each method and path of the route table.
fn routes(gateway: &Gateway) -> Vec<(String, String, bool)> {
    let description = gateway.get("/openapi.json").json();
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let is_open = operation.get("security").is_none();
            routes.push((method.to_ascii_uppercase(), path.clone(), is_open));
        }
    }
    routes.sort_by(|one, other| (&one.1, &one.0).cmp(&(&other.1, &other.0)));
    routes
}

struct Row {
    route: String,
    is_open: bool,
    is_write: bool,
    cells: Vec<u16>,
    /// What strangers were told although it is none of theirs.
    leaks: Vec<String>,
}

fn ask(world: &World, method: &str, path: &str, is_open: bool) -> Row {
    let mut row = Row {
        route: format!("{method} {path}"),
        is_open,
        is_write: false,
        cells: Vec::new(),
        leaks: Vec::new(),
    };
    for (caller, _) in CALLERS {
        let (request, is_write) = request(world, method, path);
        row.is_write = is_write;
        let request = world.by(caller, request);
        let answer = world.gateway.send(&request);
        if STRANGERS.contains(caller) && answer.status == 200 && answer.text().contains("zebra") {
            row.leaks
                .push(format!("{} by {caller}: {}", row.route, answer.text()));
        }
        if *caller == "master" && answer.status != 200 && !SENT_ON.contains(&path) {
            row.leaks.push(format!(
                "{}: the sample is not good: {}",
                row.route,
                answer.text()
            ));
        }
        row.cells.push(answer.status);
    }
    row
}

fn rows(world: &World) -> Vec<Row> {
    let routes = routes(&world.gateway);
    let next = Mutex::new(routes.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((at, (method, path, is_open))) =
                        next.lock().expect("nobody panicked").next()
                    else {
                        return;
                    };
                    let row = ask(world, method, path, *is_open);
                    done.lock().expect("nobody panicked").insert(at, row);
                }
            });
        }
    });
    done.into_inner()
        .expect("nobody panicked")
        .into_values()
        .collect()
}

fn text(rows: &[Row]) -> String {
    let mut text = String::from(
        "# The status of each route for each kind of caller, asked for things of the tenant `zebra`.\n\
         # Written by TRUNKLINE_BLESS=1 cargo nextest run --test it access:: and read by people: a cell that changes is a decision.\n#\n",
    );
    for (caller, what) in CALLERS {
        writeln!(text, "# {caller:<9} {what}").ok();
    }
    // Fixed, or a long new route would change every line.
    let width = 60;
    write!(text, "\n{:width$}", "").ok();
    for (caller, _) in CALLERS {
        write!(text, " {caller:>9}").ok();
    }
    text.push('\n');
    for row in rows {
        write!(text, "{:width$}", row.route).ok();
        for cell in &row.cells {
            write!(text, " {cell:>9}").ok();
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_route_answers_every_kind_of_caller_as_the_table_says() {
    let world = World::new();
    let rows = rows(&world);

    let leaks: Vec<&String> = rows.iter().flat_map(|row| &row.leaks).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    for row in &rows {
        for ((caller, _), status) in CALLERS.iter().zip(&row.cells) {
            if UNIDENTIFIED.contains(caller) && !row.is_open {
                assert_eq!(*status, 401, "{} by {caller}", row.route);
            }
            if STRANGERS.contains(caller) && row.is_write {
                assert!(
                    matches!(status, 400 | 401 | 403),
                    "{} by {caller} changes what is somebody else's: {status}",
                    row.route
                );
            }
        }
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let found = text(&rows);
    if env::var_os("TRUNKLINE_BLESS").is_some() {
        fs::write(&path, found).expect("the table is written");
        return;
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (known, found) = (lines(&known), lines(&found));
    let gone: Vec<_> = known.difference(&found).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "{TABLE} differs (TRUNKLINE_BLESS=1 rewrites it); it says\n{gone:#?}\nand the gateway does\n{new:#?}"
    );
}
