//! Seeds budgets' windows from the books: a window that is not in Redis is not known there, which is not the same as unspent.
//!
//! Whoever asks a window first waits for its seed; in one process all that ask the same window wait for one reading.

use std::convert::Infallible;
use std::time::Duration;

use log::warn;
use tokio::time::timeout;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetKey;
use trunkline_actors::spend_ledger::LedgerHandle;

use super::amount::Amount;
use super::connect::Server;
use super::scripts::RAISE;
use crate::loading::Loading;

/// How long a request waits for a seed.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Seeds {
    server: Server,
    ledger: LedgerHandle,
    running: Loading<BudgetKey, bool>,
}

// === impl Seeds ===

impl Seeds {
    pub(super) fn new(server: Server, ledger: LedgerHandle) -> Self {
        Self {
            server,
            ledger,
            running: Loading::default(),
        }
    }

    /// Whether the window is there now.
    pub(super) async fn seed(&self, key: &BudgetKey) -> bool {
        // On the heap: the waiting would hold several copies of it.
        let seeding = Box::pin(async {
            let seeded = timeout(PATIENCE, self.read_and_raise(key)).await;
            Ok::<_, Infallible>(seeded.unwrap_or(false))
        });
        let Ok(seeded) = self.running.run(key, seeding).await;
        seeded
    }

    async fn read_and_raise(&self, key: &BudgetKey) -> bool {
        let spent = match self.ledger.charged(key.clone()).await {
            Ok(spent) => spent,
            Err(err) => {
                warn!(subject:% = key.subject, err:% = err; "a budget cannot be shared yet: the books do not say what was spent");
                return false;
            }
        };
        // What was charged here and is on no books yet, such as by requests that the journal had no room for.
        let here = self.ledger.balance(key);
        let here = here.map_or(Usd::ZERO, |balance| balance.snapshot().spent);
        raise(&self.server, &[(key.clone(), spent.max(here))]).await
    }
}

/// Brings windows up to what is known to be spent of them. False when the server did not take it.
pub(super) async fn raise(server: &Server, spent: &[(BudgetKey, Usd)]) -> bool {
    let mut call = RAISE.prepare_invoke();
    for (key, spent) in spent {
        let spent = Amount::of(*spent);
        call.key(server.keys.window(key))
            .arg(spent.high)
            .arg(spent.low);
    }
    let Ok(mut connection) = server.pooled().await else {
        return false;
    };
    call.invoke_async::<u64>(&mut *connection).await.is_ok()
}
