//! What is served at the moment: the deployments of the config, and those that are stored in the database
//! (`general_settings.store_model_in_db`), as are settings ([`StoredSettings`]).
//!
//! One task ([`Keeper`]) makes each moment's targets and routing table, so that two changes cannot overtake each other. Who
//! stored something asks it ([`Catalogue::refresh`]) and is answered when requests are routed by it; what others stored is
//! told by the store's feed ([`Catalogue::notice`]). Nothing is built anew that did not change, and a request keeps the
//! deployments that it began with (`dispatch/targets.rs`).
//!
//! An entry that cannot be used, because it was encrypted with another salt key or is wrong, is logged and left out: the
//! others are served.

mod keeper;
mod settings;
mod stored;

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{Notify, oneshot};
use trunkline_actors::spend_ledger::SeedFailed;
use trunkline_actors::supervisor::SupervisorHandle;

pub use self::keeper::{Keeper, Running};
pub use self::settings::{ALLOWED_IPS, FallbackMap, FallbackType, StoredSettings};
pub use self::stored::Credentials;
use crate::config::{
    AddressList, Config, ConfigErrors, DeploymentConfig, Entries, Origin, ProcessEnv, ReadEntry,
    Secret, WrittenCredential,
};
use crate::dispatch::Shared;
use crate::health::CheckBoard;
use crate::sealed::{Locked, open_all, seal_all};
use crate::storage::{EntryRow, StorageError, Store};

/// Questions that wait for the keeper; whoever comes then waits for room.
const WAITING: usize = 64;
/// No gateway stores so many deployments, or credentials.
pub const MOST_STORED: usize = 10_000;

/// What handlers hold of it.
pub struct Catalogue {
    shared: Arc<Shared>,
    supervisor: SupervisorHandle,
    store: Store,
    checks: Option<Arc<CheckBoard>>,
    configured: Vec<DeploymentConfig>,
    /// Entries of the config that name stored credentials.
    waiting: Vec<Value>,
    /// What stored entries are read with; replaced with the prices.
    entries: ArcSwap<Entries>,
    /// What requests go by; published with the deployments.
    settings: ArcSwap<StoredSettings>,
    /// Those of the config.
    allowed_ips: Vec<String>,
    /// Where callers may be, by the config and the database.
    addresses: ArcSwap<AddressList>,
    is_stored: bool,
    salt: Option<Secret>,
    /// Somebody else stored something.
    news: Notify,
    asks: Sender<Ask>,
}

/// What the keeper is asked for.
#[derive(Debug)]
enum Ask {
    /// Read what is stored.
    Refresh(oneshot::Sender<Result<(), RefreshError>>),
    /// The same, with another config's prices; answered with how many deployments have them.
    Reprice(Box<Config>, oneshot::Sender<Result<usize, RefreshError>>),
}

/// Why what is served is still what it was.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// What is stored cannot be read.
    #[error("the stored deployments cannot be read")]
    Store(#[from] StorageError),
    /// The books do not say what was spent of a budget.
    #[error("the budgets of deployments and providers cannot be read")]
    Budgets(#[from] SeedFailed),
    /// A deployment of the config cannot be called.
    #[error("deployment {id}: {why}")]
    Deployment {
        /// Its id.
        id: String,
        /// The cause.
        why: String,
    },
    /// The keeper could not, and tries again: why, in words.
    #[error("{0}")]
    Again(String),
    /// The process is ending.
    #[error("the gateway is stopping")]
    Stopping,
}

/// What parts the catalogue publishes to and reads from.
#[derive(Debug)]
pub struct CatalogueParts {
    /// Whose targets they are.
    pub shared: Arc<Shared>,
    /// Makes the routing table.
    pub supervisor: SupervisorHandle,
    /// Where entries are stored.
    pub store: Store,
    /// Who is checked in the background.
    pub checks: Option<Arc<CheckBoard>>,
}

// === impl Catalogue ===

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").finish_non_exhaustive()
    }
}

impl Catalogue {
    /// The catalogue of a config, and who keeps it. Nothing is served before the keeper's first
    /// [`publish`](Keeper::publish).
    pub fn new(config: &Config, parts: CatalogueParts) -> (Arc<Self>, Keeper) {
        let (asks, asked) = mpsc::channel(WAITING);
        let catalogue = Arc::new(Self {
            shared: parts.shared,
            supervisor: parts.supervisor,
            store: parts.store,
            checks: parts.checks,
            configured: config.deployments.clone(),
            waiting: config.waiting.clone(),
            entries: ArcSwap::from_pointee(config.entries.clone()),
            settings: ArcSwap::default(),
            addresses: ArcSwap::from_pointee(addresses(&config.general.allowed_ips, &[])),
            allowed_ips: config.general.allowed_ips.clone(),
            is_stored: config.general.store_model_in_db,
            salt: config.general.salt_key.clone(),
            news: Notify::new(),
            asks,
        });
        let keeper = Keeper::new(Arc::clone(&catalogue), asked);
        (catalogue, keeper)
    }

    /// The stored settings that requests go by.
    pub fn settings(&self) -> Guard<Arc<StoredSettings>> {
        self.settings.load()
    }

    /// Where callers may be.
    pub fn addresses(&self) -> Guard<Arc<AddressList>> {
        self.addresses.load()
    }

    /// Takes over what is stored.
    fn take_over(&self, stored: StoredSettings) {
        let allowed = addresses(&self.allowed_ips, stored.allowed_ips());
        self.addresses.store(Arc::new(allowed));
        self.settings.store(Arc::new(stored));
    }

    /// Whether deployments, credentials and settings may be stored.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Whether the config has a deployment of that id.
    pub fn is_configured(&self, id: &str) -> bool {
        let targets = self.shared.targets();
        let served = targets.get(id).map(|target| &target.config);
        served.is_some_and(|one| one.stored_as.is_none())
            || self.configured.iter().any(|one| one.id == id)
    }

    /// Reads what is stored. When it returns, requests are routed by it. Safe to cancel: it is read all the same.
    ///
    /// # Errors
    /// [`RefreshError`]; the keeper tries again by itself.
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        let (tell, told) = oneshot::channel();
        self.ask(Ask::Refresh(tell), told).await
    }

    /// Takes over the prices of a config that was read anew, and answers for how many deployments.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn reprice(&self, config: Config) -> Result<usize, RefreshError> {
        let (tell, told) = oneshot::channel();
        self.ask(Ask::Reprice(Box::new(config), tell), told).await
    }

    async fn ask<T>(
        &self,
        ask: Ask,
        told: oneshot::Receiver<Result<T, RefreshError>>,
    ) -> Result<T, RefreshError> {
        let sent = self.asks.send(ask).await;
        sent.map_err(|_gone| RefreshError::Stopping)?;
        told.await.unwrap_or(Err(RefreshError::Stopping))
    }

    /// Somebody may have stored something: it is read soon. Never waits.
    pub fn notice(&self) {
        if self.is_stored {
            self.news.notify_one();
        }
    }

    /// Parameters as they are stored: what may be secret is encrypted. `None` without a key.
    pub fn sealed(&self, params: &Map<String, Value>) -> Option<Map<String, Value>> {
        seal_all(params, self.salt.as_ref()?)
    }

    /// The parameters of a stored entry, in the clear.
    ///
    /// # Errors
    /// [`Locked`]: they were stored with another salt key.
    pub(crate) fn opened(&self, row: &EntryRow) -> Result<Map<String, Value>, Locked> {
        let mut params = row.params.clone();
        open_all(&mut params, self.salt.as_ref())?;
        Ok(params)
    }

    /// The stored credentials, in the clear.
    ///
    /// # Errors
    /// The database's.
    pub async fn credentials(&self) -> Result<Credentials, StorageError> {
        let rows = self.store.entries.all().await?;
        Ok(Credentials::of(&rows, |row| self.opened(row)).0)
    }

    /// Reads an entry as one of the config file is read.
    ///
    /// # Errors
    /// Everything that is wrong with it, by its keys.
    pub fn read(
        &self,
        id: &str,
        name: &str,
        params: &Map<String, Value>,
        info: &Map<String, Value>,
        credentials: &Credentials,
    ) -> Result<ReadEntry, ConfigErrors> {
        let mut info = info.clone();
        info.insert("id".to_owned(), id.into());
        let entry = json!({"model_name": name, "litellm_params": params, "model_info": info});
        self.read_entry(&entry, Origin::Database, credentials)
    }

    fn read_entry(
        &self,
        entry: &Value,
        origin: Origin,
        credentials: &Credentials,
    ) -> Result<ReadEntry, ConfigErrors> {
        let entries = self.entries.load();
        let credential = credentials.of_entry(entry);
        entries.read(entry, origin, credential, &ProcessEnv)
    }

    /// The config's credentials.
    pub fn configured_credentials(&self) -> Vec<WrittenCredential> {
        self.entries.load().credentials()
    }

    /// Whether the config file has a credential of that name.
    pub fn has_configured_credential(&self, name: &str) -> bool {
        self.entries.load().has_credential(name)
    }
}

fn addresses(configured: &[String], stored: &[String]) -> AddressList {
    AddressList::of(configured.iter().chain(stored).map(String::as_str))
}
