//! Every fault of a provider × streamed or whole × who else may answer × the dialects of client and provider: status,
//! body, end of the stream, calls, headers, and one row on the books.
//!
//! One gateway with a model group for each cell. A deployment whose fault takes time has short timers of its own, so that
//! a busy machine does not make the well ones fail.

mod cell;
mod fault;

use std::collections::HashMap;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

use self::cell::{Cell, Facts, Others};
use self::fault::{Dialect, Fault};
use crate::spend::total;
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

/// Cells under way at the same time: most of their time is waiting.
const AT_ONCE: usize = 12;

// === providers ===

struct Providers {
    scripted: Upstream,
    full: FullListener,
}

/// A listener that takes no more connections: the kernel drops what would open one.
struct FullListener {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
    _runtime: Runtime,
}

impl FullListener {
    fn open() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime for the full listener");
        let entered = runtime.enter();
        let socket = TcpSocket::new_v4().expect("a socket");
        let any_port = "127.0.0.1:0".parse().expect("an address");
        socket.bind(any_port).expect("a free loopback port");
        let listener = socket.listen(1).expect("a listener");
        drop(entered);
        let address = listener.local_addr().expect("a bound listener's address");
        let patience = Duration::from_millis(300);
        let connect = || TcpStream::connect_timeout(&address, patience).ok();
        let queued: Vec<_> = (0..64).map_while(|_| connect()).collect();
        assert!(queued.len() < 64, "the backlog never fills");
        Self {
            listener,
            _queued: queued,
            _runtime: runtime,
        }
    }

    fn base_url(&self) -> String {
        let address = self.listener.local_addr().expect("an address");
        format!("http://{address}/v1")
    }
}

/// Answers by the model that is asked for.
fn scripted(cells: &[Cell]) -> Upstream {
    let cells: HashMap<String, Cell> = cells
        .iter()
        .map(|cell| (cell.name.clone(), cell.clone()))
        .collect();
    Upstream::answering(move |request| {
        let body = request.json();
        let model = body["model"].as_str().unwrap_or_default();
        let stream = body["stream"] == true;
        if let Some(cell) = model.strip_suffix("-well").and_then(|name| cells.get(name)) {
            return cell.provider.well(stream);
        }
        match model.strip_suffix("-bad").and_then(|name| cells.get(name)) {
            Some(cell) => cell.fault.reply(cell.provider, stream, &cell.late),
            None => Reply::error(500, "unscripted", model),
        }
    })
}

// === the run ===

/// Runs every cell and holds it to what is expected.
fn hold(cells: &[Cell]) {
    let providers = Providers {
        scripted: scripted(cells),
        full: FullListener::open(),
    };
    let mut config = ConfigText::new()
        .with_master_key()
        .router("num_retries: 1")
        .trunkline("timeouts: {connect: 1.5, first_byte: 25, first_content: 25, idle: 25}");
    let mut fallbacks = Vec::new();
    for cell in cells {
        for deployment in cell.deployments(&providers) {
            config = config.deployment(deployment);
        }
        if cell.others == Others::Spare {
            fallbacks.push(format!("{{{}: [{}]}}", cell.name, cell.spare()));
        }
    }
    let config = config.router(&format!("fallbacks: [{}]", fallbacks.join(", ")));
    let (home, mut gateway) = start(&config);
    gateway.allow_errors();

    let mut seen = run(cells, &gateway);

    total(&gateway);
    let rows = rows(&home);
    let mut asked: HashMap<String, usize> = HashMap::new();
    for request in providers.scripted.requests() {
        let model = request.json()["model"].as_str().map(str::to_owned);
        *asked.entry(model.unwrap_or_default()).or_default() += 1;
    }
    let count = |model: String| asked.get(&model).copied().unwrap_or_default();
    let mut wrong = Vec::new();
    for cell in cells {
        let expected = cell.expected();
        match seen.remove(&cell.name) {
            Some(mut facts) => {
                facts.calls = (count(cell.bad()), count(cell.well()));
                facts.rows = rows.get(&cell.name).cloned().unwrap_or_default();
                if facts != expected {
                    wrong.push(format!(
                        "{}\n  wanted {expected:?}\n  found  {facts:?}",
                        cell.name
                    ));
                }
            }
            None => wrong.push(format!("{}: no answer", cell.name)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cells are wrong:\n{}",
        wrong.len(),
        cells.len(),
        wrong.join("\n")
    );
    assert_nothing_in_flight(&gateway);
}

fn run(cells: &[Cell], gateway: &Gateway) -> HashMap<String, Facts> {
    let left = Mutex::new(cells.iter());
    let seen = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cells.len()) {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(cell) = next else { return };
                    match catch_unwind(AssertUnwindSafe(|| cell.seen(gateway))) {
                        Ok(facts) => {
                            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                            seen.insert(cell.name.clone(), facts);
                        }
                        Err(_panic) => println!("{}: see the panic above", cell.name),
                    }
                }
            });
        }
    });
    seen.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Status, attempts and deployment of each row, by customer.
fn rows(home: &Home) -> HashMap<String, Vec<(String, u32, String)>> {
    let store = home.books();
    let mut query = store
        .prepare("SELECT end_user, status, attempts, deployment FROM spend_logs")
        .expect("the books can be read");
    let found = query
        .query_map([], |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)))
        })
        .expect("rows");
    let mut rows: HashMap<String, Vec<_>> = HashMap::new();
    for row in found {
        let (cell, row): (String, _) = row.expect("a row");
        rows.entry(cell).or_default().push(row);
    }
    rows
}

fn assert_nothing_in_flight(gateway: &Gateway) {
    let state = gateway.send(&Request::get("/router/state").bearer(MASTER_KEY));
    let state = state.assert_status(200).json();
    for deployment in state["deployments"].as_array().expect("deployments") {
        assert_eq!(deployment["in_flight"], 0, "{deployment}");
    }
}

fn cells(dialects: (Dialect, Dialect), wanted: impl Fn(Fault, Others) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for fault in Fault::ALL {
        for stream in [true, false] {
            for others in [Others::Nobody, Others::Second, Others::Spare] {
                let exists = stream || !fault.1.needs_a_stream();
                if exists && wanted(fault.1, others) {
                    cells.push(Cell::new(fault, dialects, stream, others));
                }
            }
        }
    }
    cells
}

#[test]
fn every_fault_ends_as_the_contract_says() {
    hold(&cells((Dialect::OpenAi, Dialect::OpenAi), |_, _| true));
}

#[test]
fn every_fault_ends_alike_in_other_dialects() {
    use Dialect::{Anthropic, OpenAi};
    let mut all = Vec::new();
    for dialects in [
        (Anthropic, Anthropic),
        (Anthropic, OpenAi),
        (OpenAi, Anthropic),
    ] {
        all.extend(cells(dialects, |fault, others| {
            others != Others::Second && !matches!(fault, Fault::Huge(_) | Fault::SlowConnect)
        }));
    }
    hold(&all);
}
