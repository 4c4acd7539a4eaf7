//! Reaches the server for the first time in a process: waits for one that is starting, sees what it is, and brings the
//! schema up to date. The SQL is in `migrations/postgres`, embedded at compile time; see `migrations/README.md`.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use log::warn;
use refinery::Runner;
use tokio::spawn;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::address::Address;
use super::pool::said;
use crate::storage::{SchemaVersion, StorageError};

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

const HISTORY: &str = "trunkline.refinery_schema_history";
/// "trunkline" in ASCII: no other program of the same database takes this lock.
const LOCK: i64 = 0x7472_756e_6b6c_6e65;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Makes the database ready for the pool.
pub(super) async fn prepare(address: &Address) -> Result<(), StorageError> {
    let mut client = connect(address).await?;
    let failed = |source| StorageError::Migrate {
        database: address.shown.clone(),
        source,
    };
    if current(address, &client).await? {
        return Ok(());
    }
    // Held until this connection ends. Refinery reads the history and applies what is missing in separate transactions:
    // two starting processes would both apply the first migration.
    client
        .batch_execute(&format!(
            "SET lock_timeout = '60s'; SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})"
        ))
        .await
        .map_err(|err| failed(said(err)))?;
    if current(address, &client).await? {
        return Ok(());
    }
    // Not `IF NOT EXISTS`: that asks for the right to make schemas even where an administrator has made this one.
    let there: bool = client
        .query_one("SELECT to_regnamespace('trunkline') IS NOT NULL", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|err| failed(said(err)))?;
    if !there {
        client
            .batch_execute("CREATE SCHEMA trunkline")
            .await
            .map_err(|err| failed(said(err)))?;
    }
    runner()
        .run_async(&mut client)
        .await
        .map(drop)
        .map_err(|err| failed(err.into()))
}

/// Which migrations the database has.
pub(super) async fn version(address: &Address) -> Result<SchemaVersion, StorageError> {
    let client = connect(address).await?;
    state(address, &client).await
}

/// Whether there is nothing to do.
async fn current(address: &Address, client: &Client) -> Result<bool, StorageError> {
    let version = state(address, client).await?;
    match version.found {
        Some(found) if found > version.known => Err(StorageError::NewerSchema {
            database: address.shown.clone(),
            found,
            known: version.known,
        }),
        found => Ok(found == Some(version.known)),
    }
}

async fn state(address: &Address, client: &Client) -> Result<SchemaVersion, StorageError> {
    let failed = |err| StorageError::Migrate {
        database: address.shown.clone(),
        source: said(err),
    };
    let has_history: bool = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&HISTORY])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    let found: Option<i32> = if has_history {
        client
            .query_one(&format!("SELECT max(version) FROM {HISTORY}"), &[])
            .await
            .and_then(|row| row.try_get(0))
            .map_err(failed)?
    } else {
        None
    };
    let known = runner()
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or_default();
    Ok(SchemaVersion { found, known })
}

fn runner() -> Runner {
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    runner
}

/// A connection of its own; ends when the client is dropped. A server that is not there yet, as when both start together,
/// is waited for as long as for any connection.
pub(super) async fn connect(address: &Address) -> Result<Client, StorageError> {
    let patience = Instant::now() + address.wait;
    let mut pause = FIRST_RETRY;
    loop {
        let attempt = address.config.connect(address.tls.clone());
        let failure = match timeout(address.connect, attempt).await {
            Ok(Ok((client, connection))) => {
                spawn(connection);
                return Ok(client);
            }
            Ok(Err(err)) => Failure::of(err),
            Err(elapsed) => Failure {
                reason: "no answer came in time",
                may_pass: true,
                source: elapsed.into(),
            },
        };
        if !failure.may_pass || Instant::now() + pause >= patience {
            return Err(StorageError::Server {
                database: address.shown.clone(),
                reason: failure.reason,
                source: failure.source,
            });
        }
        if pause == FIRST_RETRY {
            warn!(database = address.shown.as_str(), err:% = failure.source; "the database is not there yet and is waited for");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

/// Why no connection was made.
struct Failure {
    reason: &'static str,
    /// It may work in a moment.
    may_pass: bool,
    source: Box<dyn StdError + Send + Sync>,
}

// === impl Failure ===

impl Failure {
    fn of(err: Error) -> Self {
        let (reason, may_pass) = match err.code() {
            Some(code) => Self::of_code(code),
            None => Self::of_io(&err),
        };
        Self {
            reason,
            may_pass,
            source: said(err),
        }
    }

    fn of_code(code: &SqlState) -> (&'static str, bool) {
        if [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        ]
        .contains(code)
        {
            ("the server refuses this user or its password", false)
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            ("the server has no database of that name: create it", false)
        } else {
            let may_pass =
                [SqlState::CANNOT_CONNECT_NOW, SqlState::TOO_MANY_CONNECTIONS].contains(code);
            ("the server refuses the connection", may_pass)
        }
    }

    fn of_io(err: &Error) -> (&'static str, bool) {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, InvalidInput, Other,
            UnexpectedEof,
        };
        let io = StdError::source(err).and_then(|cause| cause.downcast_ref::<io::Error>());
        match io.map(io::Error::kind) {
            None | Some(InvalidData | InvalidInput) => (
                "what answers there does not speak PostgreSQL, or not with this sslmode",
                false,
            ),
            // Also what a container's port does before the server behind it listens.
            Some(BrokenPipe | ConnectionAborted | ConnectionReset | Other | UnexpectedEof) => (
                "what answers there hangs up, and may not be PostgreSQL",
                true,
            ),
            Some(_) => ("no server can be reached there", true),
        }
    }
}
