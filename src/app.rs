//! What handlers can reach: one [`App`] per process, one [`Worker`] per HTTP worker.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::HeaderName;
use trunkline_actors::fleet::Keeping;
use trunkline_actors::spend_ledger::LedgerHandle;
use trunkline_actors::supervisor::SupervisorHandle;

use crate::auth::{Attempts, KeyTable, PayerReader, Sessions};
use crate::catalogue::Catalogue;
use crate::config::{Config, ConfigErrors};
use crate::dispatch::{Dispatcher, Fetcher, Shared};
use crate::fleet::Fleet;
use crate::health::CheckBoard;
use crate::journal::Journal;
use crate::storage::{Change, Store};

/// Everything that all workers share. Built once, by [`crate::server::serve`].
#[derive(Debug)]
pub struct App {
    /// The configuration, as loaded.
    pub config: Config,
    /// The request path's parts.
    pub shared: Arc<Shared>,
    /// Who may call.
    pub keys: KeyTable,
    /// Makes and checks sessions of people who sign in; `None` without a master key, which they are signed by.
    pub sessions: Option<Arc<Sessions>>,
    /// Who failed to sign in.
    pub attempts: Attempts,
    /// Reads the configuration anew, for its prices.
    pub reload: ReloadConfig,
    /// Reads and resets budgets.
    pub payers: PayerReader,
    /// Keys, tenants, books.
    pub store: Store,
    /// The `SpendLedger`'s handle.
    pub ledger: LedgerHandle,
    /// The other replicas; `None` where there can be none.
    pub fleet: Option<Arc<Fleet>>,
    /// What requests are written to.
    pub journal: Arc<Journal>,
    /// What is served, and how that is changed.
    pub catalogue: Arc<Catalogue>,
    /// The Supervisor's handle.
    pub supervisor: SupervisorHandle,
    /// What background checks found; `None` without them.
    pub checks: Option<Arc<CheckBoard>>,
    /// `general_settings.litellm_key_header_name`.
    pub key_header: Option<HeaderName>,
    /// Reachable from outside without a master key: only public routes answer.
    pub closed: bool,
    /// Set when the process was asked to stop: readiness fails from then on.
    pub draining: AtomicBool,
}

/// Reads the configuration from where the process has it. May block.
pub struct ReloadConfig(pub Box<dyn Fn() -> Result<Config, ConfigErrors> + Send + Sync>);

/// One HTTP worker's share. Never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    /// The process's.
    pub app: Arc<App>,
    /// This worker's request path.
    pub dispatcher: Rc<Dispatcher>,
    /// Asks the identity provider that people sign in with; `None`: there is none.
    pub fetcher: Option<Rc<Fetcher>>,
}

impl fmt::Debug for ReloadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReloadConfig(..)")
    }
}

impl App {
    /// Whether the process is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Somebody changed keys, whom they belong to, or what is served: what is known of it is read again.
    pub fn changed(&self, change: &Change) {
        match change {
            Change::Key(id) => self.keys.forget(id),
            Change::Entries | Change::Settings => self.catalogue.notice(),
            Change::Tenants => self.expire(),
            Change::Unknown => {
                self.expire();
                self.catalogue.notice();
            }
        }
    }

    /// Not forgotten: a database that comes and goes must not take away what it cannot confirm.
    fn expire(&self) {
        self.keys.expire_all();
        self.shared.labels.expire_all();
    }

    /// How limits are kept at the moment.
    pub fn keeping(&self) -> Keeping {
        let fleet = self.fleet.as_ref();
        fleet.map_or(Keeping::Alone, |fleet| fleet.standing().keeping())
    }

    /// Replicas that are known to live, this one among them.
    pub fn replicas(&self) -> u64 {
        let fleet = self.fleet.as_ref();
        fleet.map_or(1, |fleet| fleet.standing().share().replicas)
    }

    /// Whether a background check that still counts says that the deployment is not well.
    pub fn is_unhealthy(&self, id: &str) -> bool {
        let now = self.shared.clock.now();
        let checks = self.checks.as_ref();
        checks.is_some_and(|checks| checks.is_unhealthy(id, now))
    }
}
