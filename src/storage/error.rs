//! What can go wrong with the store. Callers branch on the variant; the text names the operation and its object and
//! says what to do where a person can do something. `actors` sees it as `StoreError`, through `From`.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// A failed storage operation.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory of the database file could not be made.
    #[error("cannot create the directory {} for the database", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The database file could not be opened, or not for writing.
    #[error(
        "cannot open the database {}: check that the path is a file that this user may write, in a directory it may write",
        path.display()
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the driver said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file exists and holds something else.
    #[error("{} is not an SQLite database: name another path in `database_url`, or move that file away", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database URL holds something that cannot be acted on.
    #[error("the database URL {database} cannot be used: {reason}")]
    Address {
        /// The URL without secrets.
        database: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// No connection to the database server could be made.
    #[error("cannot connect to the database {database}: {reason}")]
    Server {
        /// The URL without secrets.
        database: String,
        /// What kind of trouble it is.
        reason: &'static str,
        /// What the driver or the server said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A newer Trunkline has already changed the schema.
    #[error(
        "the database {database} has schema {found}, this binary knows up to {known}: start the newer Trunkline that wrote it"
    )]
    NewerSchema {
        /// The database, without secrets.
        database: String,
        /// Number of the newest migration that was applied.
        found: i32,
        /// Number of the newest migration in this binary.
        known: i32,
    },
    /// A migration failed, or an applied one was changed afterwards.
    #[error("cannot bring the schema of {database} up to date")]
    Migrate {
        /// The database, without secrets.
        database: String,
        /// What the migration runner said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The name is taken.
    #[error("{what} `{id}` exists already")]
    AlreadyExists {
        /// What kind of thing, such as `virtual key`.
        what: &'static str,
        /// Its id or alias.
        id: String,
    },
    /// There is none to be changed.
    #[error("there is no {what} `{id}`")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Somebody changed it after it was read.
    #[error("{what} `{id}` was changed meanwhile")]
    Changed {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Others rely on it.
    #[error("{what} `{id}` is in use")]
    InUse {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A value is too large for its column.
    #[error("{what} is too large to be stored: the most is {most}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// The largest value that fits.
        most: &'static str,
    },
    /// A stored value is not what this binary writes there.
    #[error("{table}.{column} holds a value that cannot be read")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The question is for names that no roll-up has together.
    #[error("{operation}: the books keep no sums by these names together")]
    NotKept {
        /// What was being done.
        operation: &'static str,
    },
    /// The store did not answer in time. The operation may be repeated.
    #[error("{operation}: the database did not answer in time")]
    Timeout {
        /// What was being done.
        operation: &'static str,
    },
    /// The driver refused. The operation may be repeated.
    #[error("{operation}: the database failed")]
    Backend {
        /// What was being done.
        operation: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
