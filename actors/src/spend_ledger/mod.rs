//! The books' way from the journal to the store, and the balances that budgets are checked against.
//!
//! The journal is the truth: the actor reads it in batches, inserts them, and releases them only after the commit.
//! It never holds the only copy of anything, so it may die, be cancelled or fail at any line: the same batch is read
//! again, and the store ignores what it already has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::WrapFuture;
use actix::{
    Actor, ActorContext, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler,
    ResponseFuture, SpawnHandle,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::{Clock, Millis};
use crate::ports::{JournalReader, SpendStore};

mod balance;
mod batch;
mod budget;
#[cfg(test)]
mod budget_tests;
mod cap;
mod handle;
mod messages;
mod period;
mod ship;
#[cfg(test)]
mod tests;

pub use balance::{Balance, BalanceSnapshot};
pub(crate) use balance::{BalanceState, Hold, NoMoney};
pub use batch::{Batching, Next};
pub use budget::{Budget, BudgetTerms, Increase};
pub use cap::{Cap, CapState, Caps, SpentCap};
use handle::Shared;
pub use handle::{LedgerHandle, SeedFailed};
use messages::CarryOver;
pub use messages::{Drain, Flush, FlushFailed, JournalHasMore, LedgerStatus};
pub use period::{Calendar, InvalidPeriod, Period, Window, Windows};
use ship::{NotShipped, Shipped, ship_batch};

/// Flushes that may wait at a time.
const MAX_WAITERS: usize = 1024;

/// How the ledger runs.
#[derive(Debug, Clone, Copy)]
pub struct LedgerSettings {
    /// Rows of a full batch.
    pub batch_rows: usize,
    /// A record waits at most this long for its batch.
    pub flush_interval: Duration,
    /// First wait after a failure; doubles.
    pub first_retry: Duration,
    /// Longest wait after a failure.
    pub last_retry: Duration,
    /// A balance that nobody used for this long, and whose charges are all shipped, is forgotten.
    pub balance_idle: Duration,
    /// The actor's mailbox.
    pub mailbox_capacity: usize,
}

/// The actor: ships batches, one at a time, and sweeps idle balances.
pub struct SpendLedger {
    shared: Arc<Shared>,
    reader: Arc<dyn JournalReader>,
    store: Arc<dyn SpendStore>,
    settings: LedgerSettings,
    clock: Clock,
    batching: Batching,
    /// A batch is under way.
    shipping: bool,
    /// A retry is scheduled: ticks and hints wait for it, or they would undo the backoff.
    retry: Option<SpawnHandle>,
    reads_begun: u64,
    /// When the latest read began: what it found missing was complete then, not when it ended.
    read_began_at: Millis,
    waiters: Vec<Waiter>,
}

/// A flush that waits for a short read which began after it asked.
struct Waiter {
    reads_before: u64,
    done: oneshot::Sender<()>,
}

/// Starts the ledger on an arbiter that is not an HTTP worker's.
pub fn start(
    arbiter: &ArbiterHandle,
    settings: LedgerSettings,
    reader: Arc<dyn JournalReader>,
    store: Arc<dyn SpendStore>,
    clock: Clock,
) -> LedgerHandle {
    let shared = Arc::new(Shared::default());
    let ledger_shared = Arc::clone(&shared);
    let ledger_store = Arc::clone(&store);
    let batching = Batching::new(
        settings.batch_rows,
        settings.first_retry,
        settings.last_retry,
    );
    let rows = batching.rows();
    let addr = SpendLedger::start_in_arbiter(arbiter, move |_ctx| SpendLedger {
        shared: ledger_shared,
        reader,
        store: ledger_store,
        settings,
        clock,
        batching,
        shipping: false,
        retry: None,
        reads_begun: 0,
        read_began_at: Millis::ZERO,
        waiters: Vec::new(),
    });
    LedgerHandle {
        shared,
        store,
        clock,
        rows,
        addr,
    }
}

// === impl LedgerSettings ===

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            batch_rows: 4096,
            flush_interval: Duration::from_secs(1),
            first_retry: Duration::from_millis(200),
            last_retry: Duration::from_secs(30),
            balance_idle: Duration::from_mins(10),
            mailbox_capacity: 64,
        }
    }
}

// === impl SpendLedger ===

impl SpendLedger {
    /// Begins a batch, unless one is under way or a retry is due later.
    fn ship(&mut self, ctx: &mut Context<Self>) {
        if self.shipping || self.retry.is_some() {
            return;
        }
        self.shipping = true;
        self.reads_begun += 1;
        self.read_began_at = self.clock.now();
        let reader = Arc::clone(&self.reader);
        let store = Arc::clone(&self.store);
        // A task of its own: a panic in a driver becomes an error here instead of the end of this actor.
        let batch = tokio::spawn(ship_batch(reader, store, self.batching.rows()));
        let done = async move {
            batch.await.unwrap_or_else(|err| {
                Err(NotShipped {
                    err: err.into(),
                    oldest: None,
                })
            })
        };
        ctx.spawn(
            done.into_actor(self)
                .map(|result, ledger, ctx| ledger.shipped(result, ctx)),
        );
    }

    fn shipped(&mut self, result: Result<Shipped, NotShipped>, ctx: &mut Context<Self>) {
        self.shipping = false;
        let next = match &result {
            Ok(shipped) => self.batching.shipped(shipped.rows),
            Err(_) => self.batching.failed(),
        };
        self.publish(result, next);
        match next {
            Next::Again => self.ship(ctx),
            Next::Idle => {
                self.answer_waiters();
                if !self.waiters.is_empty() {
                    self.ship(ctx);
                }
            }
            Next::RetryAfter(wait) => {
                self.retry = Some(ctx.run_later(wait, |ledger, ctx| {
                    ledger.retry = None;
                    ledger.ship(ctx);
                }));
            }
        }
    }

    /// A short read saw everything that was there when it began, so whoever asked before that is served.
    fn answer_waiters(&mut self) {
        let reads_begun = self.reads_begun;
        for waiter in self
            .waiters
            .extract_if(.., |waiter| waiter.reads_before < reads_begun)
        {
            if waiter.done.send(()).is_err() {
                log::debug!("a flush was done after its caller gave up waiting");
            }
        }
    }

    fn publish(&self, result: Result<Shipped, NotShipped>, next: Next) {
        let mut status = LedgerStatus::clone(&self.shared.status.load());
        let was_failing = status.consecutive_failures > 0;
        status.consecutive_failures = self.batching.failures();
        match result {
            Ok(shipped) => {
                status.rows_shipped += shipped.rows as u64;
                status.rows_new += shipped.new;
                status.last_error = None;
                status.oldest_unshipped = None;
                if next == Next::Idle {
                    status.caught_up_at = Some(self.read_began_at);
                }
                if was_failing {
                    log::info!("the spend store takes rows again");
                }
            }
            Err(failed) => {
                let text = failed.err.to_string();
                if !was_failing {
                    log::warn!(
                        "spend is not shipped, the journal keeps it and shipping is retried: {text}"
                    );
                }
                status.last_error = Some(text.into());
                status.oldest_unshipped = failed.oldest.or(status.oldest_unshipped);
            }
        }
        self.shared.status.store(Arc::new(status));
    }

    fn wait_for_flush(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<()>, FlushFailed> {
        if self.waiters.len() >= MAX_WAITERS {
            return Err(FlushFailed::Busy);
        }
        let (done, wait) = oneshot::channel();
        self.waiters.push(Waiter {
            reads_before: self.reads_begun,
            done,
        });
        self.ship(ctx);
        Ok(wait)
    }

    /// Forgets balances that nobody used since before the store had everything: they can be seeded from it again.
    fn sweep_balances(&self) {
        let Some(caught_up_at) = self.shared.status.load().caught_up_at else {
            return;
        };
        let now = self.clock.now();
        let idle = self.settings.balance_idle;
        self.shared.balances.retain(|_key, balance| {
            let mut since = caught_up_at;
            if now.since(since) < idle {
                since.0 = now.0.saturating_sub(idle.as_secs().saturating_mul(1000));
            }
            // No clone can appear while the shard is locked.
            Arc::strong_count(balance) > 1 || !balance.is_idle_since(since)
        });
    }
}

impl Actor for SpendLedger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.settings.mailbox_capacity);
        ctx.run_interval(self.settings.flush_interval, |ledger, ctx| {
            ledger.ship(ctx);
            ledger.sweep_balances();
        });
        // What an earlier process left behind goes first.
        self.ship(ctx);
    }
}

impl Handler<JournalHasMore> for SpendLedger {
    type Result = ();

    fn handle(&mut self, _hint: JournalHasMore, ctx: &mut Self::Context) {
        self.ship(ctx);
    }
}

impl Handler<CarryOver> for SpendLedger {
    type Result = ();

    fn handle(&mut self, CarryOver { key, carry }: CarryOver, ctx: &mut Self::Context) {
        let store = Arc::clone(&self.store);
        let carried = async move {
            if let Err(err) = store.carry_over(key, carry).await {
                log::warn!(
                    "a budget's excess is carried over when its window is loaded next: {err}"
                );
            }
        };
        ctx.spawn(carried.into_actor(self));
    }
}

impl Handler<Flush> for SpendLedger {
    type Result = ResponseFuture<Result<(), FlushFailed>>;

    fn handle(&mut self, _flush: Flush, ctx: &mut Self::Context) -> Self::Result {
        let wait = self.wait_for_flush(ctx);
        Box::pin(async move { wait?.await.map_err(|_closed| FlushFailed::Gone) })
    }
}

impl Handler<Drain> for SpendLedger {
    type Result = ResponseFuture<Result<(), FlushFailed>>;

    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) -> Self::Result {
        // A retry that is due later would eat the deadline.
        if let Some(retry) = self.retry.take() {
            ctx.cancel_future(retry);
        }
        let wait = self.wait_for_flush(ctx);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = async move { stopped.await.is_err() };
        // The sender is dropped when the answer is made, in time or not.
        ctx.spawn(
            stopping
                .into_actor(self)
                .map(|_closed, _ledger, ctx| ctx.stop()),
        );
        Box::pin(async move {
            let result = match timeout(drain.within, async {
                wait?.await.map_err(|_closed| FlushFailed::Gone)
            })
            .await
            {
                Ok(flushed) => flushed,
                Err(_elapsed) => Err(FlushFailed::TimedOut),
            };
            drop(stop);
            result
        })
    }
}

impl fmt::Debug for SpendLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendLedger")
            .field("shipping", &self.shipping)
            .field("waiters", &self.waiters.len())
            .finish_non_exhaustive()
    }
}
