//! What outlives the process: keys, tenants, the books, transcripts, one trait per domain, so that the rest of the gateway knows no SQL.
//!
//! [`Store`] bundles the traits of one opened database. Implementations live in folders of their own (`sqlite`, `postgres`);
//! every one of them passes the same suite, `conformance`; what they share of the books' arithmetic is in `books`. The books are written through the port
//! [`SpendStore`] by the spend ledger alone; [`SpendQueries`] reads them.

mod audit;
mod booked;
mod books;
mod change_log;
mod change_values;
mod changes;
mod entries;
mod error;
mod import;
mod ledger_sums;
mod lists;
mod litellm;
mod postgres;
pub mod reports;
mod settings;
mod sqlite;
mod tenants;
mod transcripts;

#[cfg(test)]
mod conformance;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, Subject, TeamId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BoxFuture, SpendStore};

pub use self::audit::{Difference, LedgerAudit, RowSpan, SumsAudit};
pub use self::change_log::{Chain, ChangeFilter, ChangeHead, ChangeLog, ChangeRecord};
pub use self::changes::{AsRead, ChangeStore, ChangedBy, Write};
pub use self::entries::{EntryKind, EntryRow, EntryStore};
pub use self::error::StorageError;
pub use self::import::{Arrival, Arrivals, ImportStore, ImportedRow, Outcome, Taken};
pub use self::lists::{KeyFilter, KeyPage, KeyScope, TenantFilter, TenantPage, TenantScope};
pub use self::litellm::{LitellmEvent, LitellmReader, LitellmTable};
pub use self::reports::{Aging, Expiry, SpendReports};
pub use self::settings::{SettingRow, SettingStore};
pub use self::tenants::{
    ModelBudget, ModelLimits, TemporaryIncrease, TenantKind, TenantRow, TenantStore, Terms,
    WindowBudget,
};
pub use self::transcripts::{TranscriptRow, TranscriptStore};

/// One opened database, by domain. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Virtual keys.
    pub keys: Arc<dyn KeyStore>,
    /// Whoever a budget or a limit can be given to.
    pub tenants: Arc<dyn TenantStore>,
    /// Deployments and credentials that are in no config file.
    pub entries: Arc<dyn EntryStore>,
    /// Settings that are in no config file.
    pub settings: Arc<dyn SettingStore>,
    /// Changes of keys, tenants, entries and settings that people make.
    pub changes: Arc<dyn ChangeStore>,
    /// Who changed what.
    pub change_log: Arc<dyn ChangeLog>,
    /// Reads the books.
    pub spend: Arc<dyn SpendQueries>,
    /// Checks and corrects the books.
    pub audit: Arc<dyn LedgerAudit>,
    /// Reads the books for people.
    pub reports: Arc<dyn SpendReports>,
    /// What was asked and answered, where that is kept.
    pub transcripts: Arc<dyn TranscriptStore>,
    /// Removes what is old.
    pub expiry: Arc<dyn Expiry>,
    /// Takes keys and tenants from elsewhere.
    pub imports: Arc<dyn ImportStore>,
    /// Writes the books; for the spend ledger.
    pub ledger: Arc<dyn SpendStore>,
    /// Which replicas of the gateway use this database; `None` where no other can.
    pub replicas: Option<Arc<dyn ReplicaStore>>,
    /// What other gateways change.
    pub feed: Arc<dyn ChangeFeed>,
    /// Whether the database answers, and its end.
    pub lifecycle: Arc<dyn Lifecycle>,
}

/// How many connections to a database server there may be, and how long one is waited for. What is `None` is said by the
/// URL (`connection_limit`, `pool_timeout` in seconds), else 10 connections and 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolSettings {
    /// The most connections at the same time.
    pub connections: Option<usize>,
    /// How long a free connection is waited for, and at the start a server that does not answer.
    pub wait: Option<Duration>,
}

/// Which migrations a database has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Number of the newest one that was applied; `None` in an empty or missing database.
    pub found: Option<i32>,
    /// Number of the newest one in this binary.
    pub known: i32,
}

/// A virtual key as it is stored. The secret is not: it is shown once, when the key is made.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRow {
    /// SHA-256 of its first secret. It stays when the key gets another one.
    pub id: KeyId,
    /// `sk-...` and the last four characters of the secret: enough to recognise it by.
    pub key_name: String,
    /// The operator's name for it; unique.
    pub alias: Option<String>,
    /// Whose key it is.
    pub user: Option<UserId>,
    /// The team that it belongs to.
    pub team: Option<TeamId>,
    /// The organisation that it belongs to, where its team does not say.
    pub organisation: Option<OrganisationId>,
    /// The shared budget that counts where it has no figure of its own.
    pub budget_id: Option<String>,
    /// Model groups that it may ask for; empty means all.
    pub models: Vec<String>,
    /// What it may spend, and how fast.
    pub terms: Terms,
    /// When it stops working; `None` is never.
    pub expires_at: Option<UnixMs>,
    /// When it is to get another secret.
    pub rotation: Rotation,
    /// Refused while set.
    pub blocked: bool,
    /// The operator's own notes; kept as they are.
    pub metadata: Map<String, Value>,
    /// What else LiteLLM's fields say; kept as it is.
    pub settings: Map<String, Value>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub updated_at: UnixMs,
    /// How it stood when it was read.
    pub as_read: AsRead,
}

/// When a key is to get another secret, and how often it has got one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotation {
    /// How long one secret is to be used, as written: `90d`.
    pub interval: Option<String>,
    /// When the secret of the moment is to be replaced; `None`: nobody wants that.
    pub due_at: Option<UnixMs>,
    /// How many were replaced.
    pub count: u64,
    /// When the last one was.
    pub last_at: Option<UnixMs>,
}

/// A key that was found by a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundKey {
    /// The key.
    pub row: KeyRow,
    /// When this secret stops working.
    pub until: Option<UnixMs>,
}

/// What one user has spent, from the first day on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserSpend {
    /// All of it.
    pub total: Usd,
    /// Requests whose cost is unknown: not part of any amount here.
    pub unpriced_requests: u64,
    /// By the model group that was asked for, by name.
    pub models: Vec<(String, Usd)>,
    /// By key. Requests without a key are in `total` only.
    pub keys: Vec<KeySpend>,
}

/// What one key has spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpend {
    /// The key.
    pub id: KeyId,
    /// As in [`KeyRow`]; `None` when the key is not stored any more.
    pub key_name: Option<String>,
    /// As in [`KeyRow`].
    pub alias: Option<String>,
    /// The amount.
    pub spend: Usd,
}

/// Reads virtual keys. They are changed by [`ChangeStore`] alone.
pub trait KeyStore: Send + Sync {
    /// The key with that id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn by_id(&self, id: KeyId) -> BoxFuture<'_, Result<Option<KeyRow>, StorageError>>;

    /// The key that the secret with that hash belongs to, and until when that secret works; `None` is as long as the key.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn by_secret(
        &self,
        hash: KeyId,
        now: UnixMs,
    ) -> BoxFuture<'_, Result<Option<FoundKey>, StorageError>>;

    /// How many keys there are.
    ///
    /// # Errors
    /// The database's.
    fn count(&self, filter: KeyFilter) -> BoxFuture<'_, Result<u64, StorageError>>;

    /// One page of keys, in order of id.
    ///
    /// # Errors
    /// The database's, or [`StorageError::Unreadable`].
    fn list(&self, page: KeyPage) -> BoxFuture<'_, Result<Vec<KeyRow>, StorageError>>;
}

/// Reads the books. What the ledger has not shipped yet is not in any answer.
pub trait SpendQueries: Send + Sync {
    /// What a user has spent; zero for one that is not known.
    ///
    /// # Errors
    /// The database's.
    fn user_spend(&self, user: UserId) -> BoxFuture<'_, Result<UserSpend, StorageError>>;

    /// What a key has spent; zero for one that is not known.
    ///
    /// # Errors
    /// The database's.
    fn key_spend(&self, key: KeyId) -> BoxFuture<'_, Result<Usd, StorageError>>;

    /// What everybody has spent on requests received at `since` or later; `None` is from the first day on.
    ///
    /// # Errors
    /// The database's.
    fn total_spend(&self, since: Option<UnixMs>) -> BoxFuture<'_, Result<Usd, StorageError>>;

    /// The tokens of a subject's requests received at `since` or later and before `until`, by quarters of an hour, in order of
    /// time. What providers read from their caches is not among them.
    ///
    /// # Errors
    /// The database's.
    fn tokens_between(
        &self,
        subject: Subject,
        since: UnixMs,
        until: UnixMs,
    ) -> BoxFuture<'_, Result<Vec<SlotTokens>, StorageError>>;
}

/// Tokens of a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotTokens {
    /// When the last of its requests came.
    pub last: UnixMs,
    /// Of prompts.
    pub input: u64,
    /// Of answers.
    pub output: u64,
}

/// Counts the replicas of the gateway that use the same database.
pub trait ReplicaStore: Send + Sync {
    /// Notes that the replica lives, for so long by the clock of the database, and answers with all that do, in order.
    ///
    /// # Errors
    /// The database's.
    fn beat(
        &self,
        replica: String,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<String>, StorageError>>;

    /// The replica stops.
    ///
    /// # Errors
    /// The database's.
    fn leave(&self, replica: String) -> BoxFuture<'_, Result<(), StorageError>>;
}

/// What somebody changed in the database, this gateway included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This key.
    Key(KeyId),
    /// Somebody whom keys belong to, or a customer or tag.
    Tenants,
    /// A stored deployment or credential.
    Entries,
    /// A stored setting.
    Settings,
    /// Something: what it was is not known.
    Unknown,
}

/// Told of each change; must not block.
pub type HearChange = Box<dyn Fn(Change) + Send + Sync>;

/// Tells of changes to keys, tenants, entries and settings.
pub trait ChangeFeed: Send + Sync {
    /// Has every change told from now on, within a second, until the store is closed. While the database is away nothing is told;
    /// [`Change::Unknown`] is, afterwards, if something happened, and when following begins. Must be called on a tokio runtime.
    fn follow(&self, heard: HearChange);
}

/// Whether the database answers, and its end.
pub trait Lifecycle: Send + Sync {
    /// Asks the database for a trivial answer.
    ///
    /// # Errors
    /// [`StorageError::Timeout`] when none came within `deadline`; the database's.
    fn ping(&self, deadline: Duration) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Closes every connection; later calls fail. To be called before the runtime ends, which the connections need.
    ///
    /// # Errors
    /// The database's: what was committed is safe all the same.
    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>>;
}

/// Opens the SQLite database at `path`, making the file and its directory when they are missing, and brings its schema
/// up to date. Must be called on a tokio runtime, which then runs the blocking work.
///
/// # Errors
/// [`StorageError`] says what is wrong with the path or the file.
pub async fn open_sqlite(path: &Path) -> Result<Store, StorageError> {
    sqlite::open(path).await
}

/// Opens the PostgreSQL database at `url`, waiting for a server that is starting, and brings its schema up to date.
/// `shown` is the URL without secrets. The connections run on a thread of their own, which ends with the [`Store`].
///
/// # Errors
/// [`StorageError::Address`], [`StorageError::Server`], or what is wrong with the schema.
pub async fn open_postgres(
    url: &str,
    shown: &str,
    settings: PoolSettings,
) -> Result<Store, StorageError> {
    postgres::open(url, shown, settings).await
}

/// Looks at the schema of the SQLite database at `path` without changing it.
///
/// # Errors
/// What is wrong with the file.
pub async fn sqlite_schema(path: &Path) -> Result<SchemaVersion, StorageError> {
    sqlite::schema(path).await
}

/// Looks at the schema of the PostgreSQL database at `url` without changing it.
///
/// # Errors
/// As [`open_postgres`].
pub async fn postgres_schema(
    url: &str,
    shown: &str,
    settings: PoolSettings,
) -> Result<SchemaVersion, StorageError> {
    postgres::schema(url, shown, settings).await
}

/// Reads the tables of a LiteLLM database, all of one moment. `shown` is the URL without secrets. Must be called on a tokio
/// runtime; the connection is on a thread of its own, which ends with the reading.
///
/// # Errors
/// [`StorageError::Address`] or [`StorageError::Server`].
pub async fn read_litellm(url: &str, shown: &str) -> Result<LitellmReader, StorageError> {
    postgres::litellm::read(url, shown).await
}

/// Makes views with the names and types of LiteLLM's tables over ours, in a schema of the PostgreSQL database at `url`, or
/// drops those that were made; answers with their names.
///
/// # Errors
/// As [`open_postgres`]; [`StorageError::AlreadyExists`] where something else has one of the names.
pub async fn litellm_views(
    url: &str,
    shown: &str,
    settings: PoolSettings,
    schema: String,
    drop: bool,
) -> Result<Vec<String>, StorageError> {
    postgres::litellm_views::make(url, shown, settings, schema, drop).await
}

// === impl Store ===

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
