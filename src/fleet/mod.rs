//! Replicas of the gateway that keep limits, budgets and cooldowns together, on one Redis server.
//!
//! ```text
//! worker ─ Lane ─ take (one script call a request, 25 ms) ─▶ Redis ◀─ beat, lease, raise (Keeper, twice a second)
//!            └─ settle, in batches; renew, every 5 s ───────▶
//! ```
//!
//! A lane is one worker's connection and what it holds; every lane has a field of its own under a lease, so that a
//! replica that dies frees its slots and holds within seconds. What takes a request is one script over all its keys, which
//! share a hash tag. `keys` names them, `scripts` holds the Lua, `wire` says both ways what a call means. The [`Keeper`] says
//! that this replica lives, hears of the others, exchanges cooldowns and compares budgets in use with the books; beside it
//! `leases` has deployments' own limits leased.
//!
//! Nothing here decides what happens without an answer: that is `trunkline_actors::admission`.

mod amount;
mod beat;
mod breaker;
mod call;
mod connect;
mod cooldowns;
mod heard;
mod keeper;
mod keys;
mod lane;
mod leases;
mod outbox;
mod receipt;
mod scripts;
mod seeds;
mod tls;
mod whereabouts;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trunkline_actors::fleet::{FleetHandle, Standing, Touched};
use trunkline_actors::ports::SharedLimits;
use trunkline_actors::spend_ledger::LedgerHandle;

use self::connect::Server;
use self::lane::Lane;
use self::seeds::Seeds;
use crate::config::RedisSettings;
use crate::day_books::DayBooks;

pub use self::connect::SetupError;
pub use self::cooldowns::SharedCooldowns;
pub use self::keeper::{Beside, Keeper, Watched};
pub use self::leases::Granted;
pub use self::tls::TlsFileError;

/// This replica among the others; one a process.
#[derive(Debug)]
pub struct Fleet {
    server: Option<Server>,
    seeds: Option<Arc<Seeds>>,
    standing: Arc<Standing>,
    touched: Arc<Touched>,
    cooldowns: Arc<SharedCooldowns>,
    fails_closed: bool,
    lanes: AtomicUsize,
}

// === impl Fleet ===

impl Fleet {
    /// Replicas meet at that server; without one they only count each other. `id` is another one after each start. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// What is wrong with the server's address, or with a file for TLS.
    pub fn new(
        settings: Option<&RedisSettings>,
        id: String,
        ledger: &LedgerHandle,
        days: DayBooks,
        fails_closed: bool,
    ) -> Result<Self, SetupError> {
        let server = settings.map(Server::new).transpose()?;
        Ok(Self {
            seeds: server
                .clone()
                .map(|server| Arc::new(Seeds::new(server, ledger.clone(), days))),
            standing: Arc::new(Standing::new(id, server.is_some())),
            server,
            touched: Arc::default(),
            cooldowns: Arc::default(),
            fails_closed,
            lanes: AtomicUsize::new(0),
        })
    }

    /// A worker's way to the others. To be called on that worker's thread, whose event loop its connection lives on.
    pub fn handle(&self) -> FleetHandle {
        let number = self.lanes.fetch_add(1, Ordering::Relaxed);
        let limits = self.server.as_ref().zip(self.seeds.as_ref());
        FleetHandle {
            standing: Arc::clone(&self.standing),
            touched: Arc::clone(&self.touched),
            limits: limits.map(|(server, seeds)| {
                let id = format!("{}.{number}", self.standing.id());
                Arc::new(Lane::start(id, server.clone(), Arc::clone(seeds)))
                    as Arc<dyn SharedLimits>
            }),
            fails_closed: self.fails_closed,
        }
    }

    /// Who is there.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Cooldowns on their way.
    pub fn cooldowns(&self) -> Arc<SharedCooldowns> {
        Arc::clone(&self.cooldowns)
    }
}
