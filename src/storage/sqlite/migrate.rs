//! Opens the file for the first time in a process: makes its directory, sees what it is, and brings the schema up to
//! date. The SQL is in `migrations/sqlite`, embedded at compile time; see `migrations/README.md` for the rules.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use refinery::Runner;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::pool::prepare_writer;
use crate::storage::{SchemaVersion, StorageError};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Makes the database at `path` ready for the pools. Blocks: call it from a thread that may.
pub(super) fn prepare_file(path: &Path) -> Result<(), StorageError> {
    make_directory(path)?;
    // Before the first look at the file: several processes that switch a new file to WAL at once do not wait for each
    // other, whatever the busy timeout, but fail.
    let _one_process = lock_migrations(path)?;
    let mut connection = Connection::open(path).map_err(|err| open_error(path, err))?;
    prepare_writer(&connection).map_err(|err| open_error(path, err))?;
    let runner = embedded::migrations::runner();
    let known = newest(&runner);
    let found = applied(&connection).map_err(|err| open_error(path, err))?;
    if found == Some(known) {
        return Ok(());
    }
    if let Some(found) = found
        && found > known
    {
        return Err(StorageError::NewerSchema {
            database: path.display().to_string(),
            found,
            known,
        });
    }
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    runner
        .run(&mut connection)
        .map(drop)
        .map_err(|err| StorageError::Migrate {
            database: path.display().to_string(),
            source: err.into(),
        })
}

/// Looks at the schema of the database at `path`, which is not made if it is missing. Blocks.
pub(super) fn version(path: &Path) -> Result<SchemaVersion, StorageError> {
    let known = newest(&embedded::migrations::runner());
    if !path.exists() {
        return Ok(SchemaVersion { found: None, known });
    }
    let found = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| applied(&connection))
        .map_err(|err| open_error(path, err))?;
    Ok(SchemaVersion { found, known })
}

/// Makes the database at `path` as an earlier version left it.
#[cfg(test)]
pub(super) fn prepare_at(path: &Path, version: i32) -> Connection {
    let mut connection = Connection::open(path).unwrap();
    let runner = embedded::migrations::runner().set_target(refinery::Target::Version(version));
    runner.run(&mut connection).unwrap();
    connection
}

/// Number of the newest migration in this binary.
fn newest(runner: &Runner) -> i32 {
    let migrations = runner.get_migrations();
    let numbers = migrations.iter().map(refinery::Migration::version);
    numbers.max().unwrap_or_default()
}

/// Number of the newest migration in the database; `None` in an empty one.
fn applied(connection: &Connection) -> rusqlite::Result<Option<i32>> {
    let has_history = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    match has_history {
        None => Ok(None),
        Some(()) => connection.query_row(
            "SELECT max(version) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        ),
    }
}

/// Holds other processes off while the schema changes: refinery reads the history and applies what is missing in
/// separate transactions, so two starting processes would both apply the first migration. The lock file stays, because
/// removing it would let a third process lock a file that nobody else sees.
fn lock_migrations(path: &Path) -> Result<File, StorageError> {
    let mut name = OsString::from(path);
    name.push("-migrate");
    let lock_path = PathBuf::from(name);
    let locked = || -> io::Result<File> {
        let file = File::create(&lock_path)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|err| StorageError::Open {
        path: lock_path.clone(),
        source: err.into(),
    })
}

fn make_directory(path: &Path) -> Result<(), StorageError> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => fs::create_dir_all(directory)
            .map_err(|source| StorageError::Directory {
                path: directory.to_owned(),
                source,
            }),
        _ => Ok(()),
    }
}

fn open_error(path: &Path, err: rusqlite::Error) -> StorageError {
    let path = path.to_owned();
    if err.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        StorageError::NotADatabase { path }
    } else {
        StorageError::Open {
            path,
            source: err.into(),
        }
    }
}
