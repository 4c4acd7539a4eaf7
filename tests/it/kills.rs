//! A gateway that is killed again and again at random moments under load, streams and whole answers, on both databases.
//! After each kill the journal is read as it lies on the disk; after the next start the books must hold exactly what they
//! held, what the journal says was settled, and one `unknown` row for everything else that it says was started.
//!
//! `TRUNKLINE_SOAK_ROUNDS` sets how many kills (`make soak`), `TRUNKLINE_SOAK_SEED` what follows from chance; a failure
//! tells its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use minicbor::Decoder;
use minicbor::data::Type;
use rusqlite::types::Value as Cell;
use rust_decimal::Decimal;
use serde_json::json;
use trunkline_actors::ids::RequestId;

use crate::keys::generate_key;
use crate::spend::{COST_PICO, whole_or_streamed};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request_body};
use crate::support::http::{BodyEnd, Request};
use crate::support::reply::{Gate, Reply};
use crate::support::servers::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

const CLIENTS: usize = 4;
/// Rounds on one set of books; then new ones are begun, so that a long run does not slow down.
const ROUNDS_PER_BOOKS: usize = 25;
/// An answer begins with this for a customer whose answer never comes.
const HELD: &str = "held-";

/// One row of the books.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    status: String,
    customer: String,
    /// In 1e-12 USD.
    cost: i64,
}

/// What a dead process left.
#[derive(Debug, Default)]
struct Left {
    /// Requests by id, with their customer and what their input is charged.
    started: BTreeMap<String, (String, i64)>,
    settled: BTreeSet<String>,
}

/// Where the books are.
enum Store<'a> {
    Sqlite,
    Postgres(&'a Postgres, String),
}

/// One set of books and who writes and reads them.
struct World<'a> {
    store: Store<'a>,
    home: Home,
    upstream: Upstream,
    key: Option<String>,
    /// Customers whose answer was complete, of all rounds.
    completed: BTreeSet<String>,
    rows: BTreeMap<String, Row>,
}

/// `SplitMix64` of the seed and where we are.
fn draw(seed: u64, of: [u64; 2]) -> u64 {
    of.into_iter().fold(seed, |state, part| {
        let mut mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

fn number_of(variable: &str) -> Option<u64> {
    env::var_os(variable)?.to_str()?.parse().ok()
}

fn ask(customer: &str, streamed: bool, key: &str) -> Request {
    let mut body = chat_request_body("m");
    body["user"] = json!(customer);
    body["stream"] = json!(streamed);
    Request::post("/v1/chat/completions", &body).bearer(key)
}

/// An amount as the journal and `PostgreSQL` write it, in 1e-12 USD.
fn pico_of(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}")
        .parse()
        .unwrap_or_else(|err| panic!("not an amount: {text}: {err}"))
}

/// What is looked at of a record. The last two are of a `started` one.
#[derive(Default)]
struct Fields {
    id: [u8; 16],
    end_user: Option<String>,
    estimated_input_cost: Option<i64>,
}

// === impl Fields ===

impl Fields {
    fn of(record: &[u8]) -> Self {
        let mut decoder = Decoder::new(record);
        let mut fields = Self::default();
        let bytes = |decoder: &mut Decoder<'_>| {
            let bytes = decoder.bytes().expect("bytes");
            <[u8; 16]>::try_from(bytes).expect("16 of them")
        };
        let count = decoder.map().expect("a map").expect("with a length");
        for _ in 0..count {
            match decoder.u32().expect("a number") {
                0 => fields.id = bytes(&mut decoder),
                6 => fields.end_user = decoder.str().ok().map(str::to_owned),
                10 if decoder.datatype().is_ok_and(|kind| kind == Type::Bytes) => {
                    let cost = Decimal::deserialize(bytes(&mut decoder));
                    fields.estimated_input_cost = Some(pico_of(&cost.to_string()));
                }
                _ => decoder.skip().expect("a value"),
            }
        }
        fields
    }
}

// === impl Left ===

impl Left {
    /// Reads the journals of dead processes, frame by frame: `len u32 LE | checksum u32 LE | kind | CBOR`.
    fn read(journal: &Path) -> Self {
        let mut left = Self::default();
        for boot in fs::read_dir(journal).expect("a journal") {
            let boot = boot.expect("a directory of a boot").path();
            for file in fs::read_dir(boot).expect("a directory of a boot") {
                let path = file.expect("a file").path();
                if path.extension().is_some_and(|end| end == "segment") {
                    left.read_segment(&fs::read(path).expect("a segment"));
                }
            }
        }
        left
    }

    fn read_segment(&mut self, mut bytes: &[u8]) {
        while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
            let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if len == 0 || len > rest.len() {
                return;
            }
            let (payload, behind) = rest.split_at(len);
            // A kill stops a write at a page's end, so the last record may be torn; behind it nothing was written.
            let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[..4]), payload);
            if checksum.to_le_bytes() != header[4..] {
                assert_eq!(payload.last(), Some(&0), "a record is whole or torn");
                assert!(behind.iter().all(|&byte| byte == 0));
                return;
            }
            let record = Fields::of(&payload[1..]);
            let id = RequestId::from_bytes(record.id).to_string();
            if payload[0] == 4 {
                self.settled.insert(id);
            } else {
                let customer = record.end_user.expect("a customer");
                let cost = record.estimated_input_cost.expect("a cost");
                let again = self.started.insert(id, (customer.clone(), cost));
                assert!(
                    again.is_none_or(|earlier| earlier == (customer, cost)),
                    "a copy differs from its original"
                );
            }
            bytes = behind;
        }
    }
}

// === impl World ===

impl<'a> World<'a> {
    fn new(store: Store<'a>) -> Self {
        let never = Gate::closed();
        let upstream = Upstream::answering(move |request: &Recorded| {
            let body = request.json();
            if body["user"]
                .as_str()
                .is_some_and(|user| user.starts_with(HELD))
            {
                return Reply::stream(&["held"]).after(&never);
            }
            whole_or_streamed(request)
        });
        // Small segments, so that there are rotations.
        let mut config = ConfigText::one("m", &upstream)
            .with_master_key()
            .trunkline("workers: 2")
            .trunkline("shutdown_timeout_secs: 1")
            .trunkline("journal: {max_bytes: 1048576}");
        if let Store::Postgres(server, database) = &store {
            config = config.database(&server.database(database));
        }
        Self {
            store,
            home: Home::with(&config),
            upstream,
            key: None,
            completed: BTreeSet::new(),
            rows: BTreeMap::new(),
        }
    }

    fn start(&self) -> Gateway {
        let mut gateway = self.home.start();
        gateway.keeps_secret(DATABASE_PASSWORD);
        gateway
    }

    /// The columns of a query, one line a row. Amounts are in 1e-12 USD.
    fn query(&self, sqlite: &str, postgres: &str) -> Vec<Vec<String>> {
        match &self.store {
            Store::Sqlite => {
                let books = self.home.books();
                let mut statement = books.prepare(sqlite).expect("a query");
                let columns = statement.column_count();
                let text = |value: Cell| match value {
                    Cell::Integer(number) => number.to_string(),
                    Cell::Text(text) => text,
                    other => panic!("{other:?}"),
                };
                let rows = statement.query_map([], |row| {
                    (0..columns)
                        .map(|column| row.get(column).map(text))
                        .collect()
                });
                rows.expect("rows")
                    .collect::<Result<_, _>>()
                    .expect("the books can be read")
            }
            Store::Postgres(server, database) => server
                .sql(database, postgres)
                .lines()
                .map(|line| line.split('|').map(str::to_owned).collect())
                .collect(),
        }
    }

    fn read_rows(&self) -> BTreeMap<String, Row> {
        let rows = self.query(
            "SELECT id, status, end_user, cost FROM spend_logs",
            "SELECT id, status, end_user, (cost * 1e12)::bigint FROM trunkline.spend_logs",
        );
        let count = rows.len();
        let rows: BTreeMap<String, Row> = rows
            .into_iter()
            .map(|row| {
                let row: [String; 4] = row.try_into().expect("four columns");
                let [id, status, customer, cost] = row;
                let cost = cost.parse().expect("an amount");
                (
                    id,
                    Row {
                        status,
                        customer,
                        cost,
                    },
                )
            })
            .collect();
        assert_eq!(rows.len(), count, "an id is there twice");
        rows
    }

    /// Serves until some random moment, dies, and is started again. `chance` decides everything.
    fn round(&mut self, round: u64, chance: impl Fn(u64) -> u64) {
        let mut gateway = self.start();
        let key = self.key.get_or_insert_with(|| {
            generate_key(&gateway, &json!({"user_id": "ann", "max_budget": 1000}))
        });
        let before = self.upstream.request_count();
        let held = gateway.begin(&ask(&format!("{HELD}{round}"), true, key));
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS as u64)
            .map(|client| {
                let (address, key, over) = (gateway.address(), key.clone(), Arc::clone(&over));
                let streams = chance(100 + client);
                thread::spawn(move || {
                    let mut completed = Vec::new();
                    for number in 0_u64.. {
                        let customer = format!("{round}-{client}-{number}");
                        let streamed = streams >> (number % 64) & 1 == 1;
                        let Ok(live) = ask(&customer, streamed, &key).open(address) else {
                            break;
                        };
                        let (answer, end) = live.read_to_end();
                        if answer.status != 200 || end != BodyEnd::Clean {
                            // Only a process that is going refuses.
                            assert!(
                                over.load(Ordering::SeqCst) || answer.status == 200,
                                "{}",
                                answer.status
                            );
                            break;
                        }
                        if !streamed || answer.text().contains("[DONE]") {
                            completed.push(customer);
                        }
                    }
                    completed
                })
            })
            .collect();
        // Asking for the spend ships what there is: so batches are under way at the kill, and segments are deleted.
        let address = gateway.address();
        let shipping = thread::spawn(move || {
            let spend = Request::get("/global/spend").bearer(MASTER_KEY);
            while let Ok(live) = spend.open(address) {
                live.read_to_end();
            }
        });
        // Every third round is long enough for several rotations.
        let least = [0, 20, 250][usize::try_from(round % 3).expect("an index")];
        let more = usize::try_from(chance(0) % 150).expect("a small number");
        let goal = before + 1 + least + more;
        eventually("so many requests have come", &true, || {
            self.upstream.request_count() >= goal
        });
        thread::park_timeout(Duration::from_micros(chance(1) % 3000));
        over.store(true, Ordering::SeqCst);
        let asked = chance(2).is_multiple_of(4);
        if asked {
            gateway.terminate();
            assert_eq!(gateway.wait().code(), Some(0));
            drop(gateway);
        } else {
            gateway.kill();
        }
        drop(held);
        shipping.join().expect("shipping ends");
        for client in clients {
            self.completed.extend(client.join().expect("a client ends"));
        }
        let mut expected = self.read_rows();
        self.assert_only_more(&expected);
        let left = Left::read(&self.home.path().join("data/journal"));
        assert!(!asked || left.settled.is_subset(&expected.keys().cloned().collect()));
        let is_new = |id: &&String| !expected.contains_key(*id);
        let settled: Vec<String> = left.settled.iter().filter(is_new).cloned().collect();
        for (id, (customer, cost)) in &left.started {
            if !left.settled.contains(id) {
                let unknown = Row {
                    status: "unknown".to_owned(),
                    customer: customer.clone(),
                    cost: *cost,
                };
                // Its `settled` may have been shipped, and deleted before the segment of its `started`.
                expected.entry(id.clone()).or_insert(unknown);
            }
        }

        let gateway = self.start();
        // Asking for the spend brings what is in the journal onto the books.
        let spend = gateway.send(&Request::get("/global/spend").bearer(MASTER_KEY));
        spend.assert_status(200);
        gateway.kill();

        let rows = self.read_rows();
        for id in settled {
            let row = rows.get(&id).cloned();
            expected.insert(id, row.expect("what is settled is on the books"));
        }
        assert_eq!(rows, expected);
        self.rows = rows;
        self.assert_books();
    }

    /// Rows are never changed and never taken back.
    fn assert_only_more(&self, rows: &BTreeMap<String, Row>) {
        for (id, row) in &self.rows {
            assert_eq!(rows.get(id), Some(row), "{id}");
        }
    }

    fn assert_books(&self) {
        let of_status = |status: &str| -> Vec<&Row> {
            let rows = self.rows.values();
            rows.filter(|row| row.status == status).collect()
        };
        let customers = |rows: Vec<&Row>| -> BTreeSet<String> {
            let count = rows.len();
            let customers: BTreeSet<String> =
                rows.into_iter().map(|row| row.customer.clone()).collect();
            assert_eq!(customers.len(), count, "a request is there twice");
            customers
        };
        let all = customers(self.rows.values().collect());
        let succeeded = of_status("success");
        assert!(succeeded.iter().all(|row| row.cost == COST_PICO));
        let settled = customers(succeeded);
        let reached: BTreeSet<String> = self
            .upstream
            .requests()
            .iter()
            .map(|request| {
                request.json()["user"]
                    .as_str()
                    .expect("a customer")
                    .to_owned()
            })
            .collect();
        let missing = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
            one.difference(other).cloned().collect()
        };
        let none = Vec::<String>::new();
        assert_eq!(
            missing(&self.completed, &settled),
            none,
            "completed, not settled"
        );
        assert_eq!(
            missing(&settled, &reached),
            none,
            "settled, never asked for"
        );
        assert_eq!(missing(&reached, &all), none, "asked for, on no row");

        let sum: i64 = self.rows.values().map(|row| row.cost).sum();
        let sums = self.query(
            "SELECT (SELECT sum(spend) FROM daily_spend), (SELECT sum(requests) FROM daily_spend), (SELECT charged FROM balances WHERE subject_kind = 'api_key')",
            "SELECT (SELECT sum(spend) * 1e12 FROM trunkline.daily_spend)::bigint, (SELECT sum(requests) FROM trunkline.daily_spend), (SELECT charged * 1e12 FROM trunkline.balances WHERE subject_kind = 'api_key')::bigint",
        );
        let expected = [
            sum,
            i64::try_from(self.rows.len()).expect("a small number"),
            sum,
        ]
        .map(|number| number.to_string());
        assert_eq!(
            sums,
            [expected],
            "daily spend, its requests, the key's balance"
        );
    }
}

/// So many rounds, in worlds of their own.
fn soak<'a>(rounds: u64, mut store: impl FnMut(u64) -> Store<'a>) {
    let rounds = number_of("TRUNKLINE_SOAK_ROUNDS").unwrap_or(rounds);
    let seed = number_of("TRUNKLINE_SOAK_SEED").unwrap_or(0x6b69_6c6c);
    for first in (0..rounds).step_by(ROUNDS_PER_BOOKS) {
        let mut world = World::new(store(first));
        for round in first..rounds.min(first + ROUNDS_PER_BOOKS as u64) {
            println!("round {round}: TRUNKLINE_SOAK_SEED={seed}");
            world.round(round, |of| draw(seed, [round, of]));
        }
    }
}

#[test]
fn killed_at_any_moment_the_books_in_sqlite_are_right() {
    soak(6, |_| Store::Sqlite);
}

#[test]
fn killed_at_any_moment_the_books_in_postgresql_are_right() {
    let server = Postgres::start();
    soak(3, |first| {
        Store::Postgres(&server, format!("books_{first}"))
    });
}
