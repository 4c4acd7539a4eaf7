//! Seeds budgets' windows and subjects' days from the books: one that is not in Redis is not known there, which is not the same
//! as untouched.
//!
//! Whoever asks one first waits for its seed; in one process all that ask the same wait for one reading. What other replicas have
//! not shipped by then is not in the seed: windows are compared with the books later, a day is not.

use std::convert::Infallible;
use std::time::Duration;

use log::warn;
use tokio::time::timeout;
use trunkline_actors::clock::{UnixMs, whole_millis};
use trunkline_actors::ids::Subject;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetKey;
use trunkline_actors::spend_ledger::LedgerHandle;

use super::amount::Amount;
use super::connect::Server;
use super::scripts::{BEGIN_DAY, RAISE};
use super::wire::{MOST, Missing};
use crate::day_books::DayBooks;
use crate::loading::Loading;

/// How long a request waits for a seed.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Seeds {
    server: Server,
    ledger: LedgerHandle,
    days: DayBooks,
    running: Loading<Missing, bool>,
}

// === impl Seeds ===

impl Seeds {
    pub(super) fn new(server: Server, ledger: LedgerHandle, days: DayBooks) -> Self {
        Self {
            server,
            ledger,
            days,
            running: Loading::default(),
        }
    }

    /// Whether it is there now.
    pub(super) async fn seed(&self, missing: &Missing) -> bool {
        // On the heap: the waiting would hold several copies of it.
        let seeding = Box::pin(async {
            let reading = async {
                match missing {
                    Missing::Window(key) => self.read_and_raise(key).await,
                    Missing::Day(subject) => self.begin_day(subject).await,
                }
            };
            let seeded = timeout(PATIENCE, reading).await;
            Ok::<_, Infallible>(seeded.unwrap_or(false))
        });
        let Ok(seeded) = self.running.run(missing, seeding).await;
        seeded
    }

    async fn begin_day(&self, subject: &Subject) -> bool {
        let read = async {
            self.ledger.flush().await.map_err(|err| err.to_string())?;
            let taken = self.days.taken(subject.clone(), UnixMs::now()).await;
            taken.map_err(|err| err.to_string())
        };
        let taken = match read.await {
            Ok(taken) => taken,
            Err(err) => {
                warn!(subject:%, err; "a limit of a day cannot be shared yet: the books do not say what was taken");
                return false;
            }
        };
        let mut call = BEGIN_DAY.prepare_invoke();
        call.key(self.server.keys.rings(subject)).arg("");
        for (ago, tokens) in taken {
            call.arg(whole_millis(ago)).arg(tokens.min(MOST));
        }
        let Ok(mut connection) = self.server.pooled().await else {
            return false;
        };
        call.invoke_async::<u64>(&mut *connection).await.is_ok()
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
