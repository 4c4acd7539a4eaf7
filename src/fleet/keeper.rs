//! The job beside the requests: says that this replica lives, hears of the others, carries cooldowns, and compares budgets in
//! use with the books. Deployments' own limits are leased beside it ([`Leasing`]).
//!
//! What the server says is spent of a budget may lack something: what a replica charged when it was killed, or while the server
//! was away. The books have it a second later. So windows in use are read from there now and then, and raised to it. The reading
//! comes first and a pause after it: whatever the books had by then has long been told to the server, and is not counted twice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::spawn;
use actix_rt::task::JoinHandle;
use log::{debug, info, warn};
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use trunkline_actors::clock::{Clock, Millis};
use trunkline_actors::ids::DeploymentId;
use trunkline_actors::money::Usd;
use trunkline_actors::ports::BudgetKey;
use trunkline_actors::spend_ledger::LedgerHandle;

use super::Fleet;
use super::beat::{self, Beat};
use super::connect::{Server, reason};
use super::heard::HeardOf;
use super::leases::{Granted, Leasing};
use super::seeds::raise;
use super::wire::LEASE;
use crate::storage::ReplicaStore;

#[cfg(test)]
mod tests;

/// From one beat to the next. Others see a cooldown after at most one of ours and one of theirs.
const BEAT: Duration = Duration::from_millis(500);
/// How long a beat may take.
const BEAT_WITHIN: Duration = Duration::from_secs(1);
/// From one beat in the database to the next, in beats: it counts only where no server does.
const BEATS_OF_BOOKS: u32 = 10;
/// How long the database may take for either; many times what it takes.
const BOOKS_WITHIN: Duration = Duration::from_secs(3);
/// How often a budget in use is compared with the books, where the server has it.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// The same where each replica keeps its share: that is all that it hears of the others.
const COMPARE_OFTEN: Duration = Duration::from_secs(2);
/// Budgets compared in one round, and raised in one call.
const COMPARED: usize = 256;
const RAISED: usize = 64;
/// How long after a time apart the others have shipped what they charged: longer than a beat, and than a ledger's tick.
const SHIPPED_WITHIN: Duration = Duration::from_millis(1500);
/// Longer than any settlement takes to the server.
const SETTLED_WITHIN: Duration = Duration::from_millis(250);

/// The running job.
pub struct Keeper {
    stop: Sender<()>,
    running: JoinHandle<()>,
}

/// Names windows.
pub type Watched = Box<dyn Fn() -> Vec<BudgetKey>>;

/// What is kept with the others although no request asks for it.
pub struct Beside {
    /// Windows that are compared with the books.
    pub watched: Watched,
    /// Deployments that have limits of their own at the moment.
    pub granted: Box<dyn Fn() -> Vec<Granted>>,
}

struct Job {
    fleet: Arc<Fleet>,
    ledger: LedgerHandle,
    members: Option<Arc<dyn ReplicaStore>>,
    watched: Watched,
    clock: Clock,
    beats: u32,
    heard_of: HeardOf,
    /// How it stands with the server was said.
    said: Option<bool>,
    /// Since when the server answers again, until the books were read for it.
    back_since: Option<Millis>,
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
}

// === impl Keeper ===

impl Keeper {
    /// Starts the job on this thread, when it has heard of the others for the first time, or could not. `members` counts replicas
    /// where no server does.
    pub async fn start(
        fleet: Arc<Fleet>,
        ledger: LedgerHandle,
        members: Option<Arc<dyn ReplicaStore>>,
        beside: Beside,
        clock: Clock,
    ) -> Self {
        let (stop, stop_asked_for) = oneshot::channel();
        let leasing = Leasing {
            fleet: Arc::clone(&fleet),
            granted: beside.granted,
            clock,
        };
        let mut job = Job {
            fleet,
            ledger,
            members,
            watched: beside.watched,
            clock,
            beats: 0,
            heard_of: HeardOf::default(),
            said: None,
            back_since: None,
        };
        job.hear().await;
        leasing.renew().await;
        Self {
            stop,
            running: spawn(job.until(leasing, stop_asked_for)),
        }
    }

    /// Takes leave of the others, so that they need not wait for a lease to end.
    pub async fn stop(self) {
        // An error is a job that has ended already.
        self.stop.send(()).ok();
        if self.running.await.is_err() {
            warn!("the job that keeps limits together ended with a panic");
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

// === impl Job ===

impl Job {
    /// Both go side by side: neither waits for the other.
    async fn until(mut self, leasing: Leasing, stop_asked_for: Receiver<()>) {
        tokio::select! {
            () = self.rounds(stop_asked_for) => {}
            () = leasing.rounds() => {}
        }
        leasing.leave().await;
        self.leave().await;
    }

    async fn rounds(&mut self, mut stop_asked_for: Receiver<()>) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stop_asked_for => return,
                _ = ticks.tick() => {}
            }
            // To its end: one that is no longer waited for goes on, and could arrive after this replica's leave.
            self.hear().await;
            tokio::select! {
                _ = &mut stop_asked_for => return,
                () = self.compare() => {}
            }
        }
    }

    async fn hear(&mut self) {
        if let Some(server) = self.fleet.server.clone() {
            self.beat(&server).await;
        }
        if self.beats.is_multiple_of(BEATS_OF_BOOKS)
            && timeout(BOOKS_WITHIN, self.beat_in_books()).await.is_err()
        {
            debug!("replicas could not be counted in time");
        }
        self.beats = self.beats.wrapping_add(1);
    }

    async fn beat(&mut self, server: &Server) {
        let standing = &self.fleet.standing;
        let told = self.fleet.cooldowns.to_tell();
        let beat = timeout(BEAT_WITHIN, beat::send(server, standing.id(), &told)).await;
        match beat {
            Ok(Ok(beat)) => {
                self.ship_what_was_charged_apart().await;
                self.heard(server, beat);
            }
            failed => {
                self.fleet.cooldowns.not_told(told);
                standing.set_together(false);
                if self.said.replace(false) != Some(false) {
                    let reason = match failed {
                        Ok(Err(err)) => reason(&err),
                        _ => "no answer in time".to_owned(),
                    };
                    let replicas = standing.share().replicas;
                    warn!(redis = server.shown(), replicas, reason; "the shared limits cannot be reached: this replica keeps its share of them");
                }
            }
        }
    }

    /// What was charged apart is on the books before this replica says that it is back: the others seed from there what an empty
    /// server has forgotten.
    async fn ship_what_was_charged_apart(&self) {
        if self.fleet.standing.is_together() || self.ledger.status().consecutive_failures > 0 {
            return;
        }
        // Bounded as a beat is: books that hang must not keep this replica apart. They are compared later all the same.
        if !matches!(timeout(BEAT_WITHIN, self.ledger.flush()).await, Ok(Ok(()))) {
            debug!("what was charged apart could not be shipped in time");
        }
    }

    fn heard(&mut self, server: &Server, beat: Beat) {
        let standing = &self.fleet.standing;
        let was_apart = !standing.is_together();
        let now = self.clock.now();
        let replicas = self.heard_of.hear(beat.replicas, was_apart, now);
        let count = replicas.len();
        if standing.saw(replicas) {
            info!(replicas = count; "replicas that keep limits together");
        }
        standing.set_together(true);
        if self.said.replace(true) != Some(true) {
            info!(redis = server.shown(); "limits are kept together with all replicas");
            self.back_since = Some(now);
        }
        // Whatever was charged meanwhile is in the books only, but the others may not have shipped it yet: read at once, the
        // books would promise money that is spent, to this replica's share and to a server that has forgotten the window.
        let is_back = |since| now.since(since) >= SHIPPED_WITHIN;
        if self.back_since.take_if(|since| is_back(*since)).is_some() {
            self.fleet.touched.all_are_due();
        }
        for (deployment, left) in beat.cooldowns {
            let deployment = DeploymentId::new(deployment);
            self.fleet.cooldowns.heard(deployment, left);
        }
    }

    /// Counts replicas in the database, where the server does not.
    async fn beat_in_books(&self) {
        let standing = &self.fleet.standing;
        let Some(members) = &self.members else { return };
        let beat = members.beat(standing.id().to_owned(), LEASE).await;
        match beat {
            Ok(replicas) if !standing.is_together() => {
                let count = replicas.len();
                if standing.saw(replicas) {
                    info!(replicas = count; "replicas that each keep a share of the limits");
                }
            }
            Ok(_) => {}
            // The last known number holds; that the database fails is said by those who need it more.
            Err(err) => debug!(err:% = err; "replicas could not be counted"),
        }
    }

    async fn compare(&self) {
        let standing = &self.fleet.standing;
        let together = standing.is_together();
        if !together && standing.share().replicas <= 1 {
            return;
        }
        let every = if together {
            COMPARE_EVERY
        } else {
            COMPARE_OFTEN
        };
        let now = self.clock.now();
        self.fleet.touched.touch_all(&(self.watched)(), now);
        let due = self.fleet.touched.due(every, COMPARED, now);
        // While the journal cannot be shipped, the books say less than is known here; and a flush would only wait.
        if due.is_empty() || self.ledger.status().consecutive_failures > 0 {
            return;
        }
        let mut spent = Vec::with_capacity(due.len());
        // A database that hangs must not keep this replica from saying that it lives.
        let read = timeout(BOOKS_WITHIN, self.read(due, &mut spent)).await;
        if read.is_err() {
            debug!("not all budgets in use could be compared with the books in time");
        }
        // What was read is told, whatever became of the rest: it counts as compared.
        if let Some(server) = self.fleet.server.as_ref().filter(|_| together)
            && !spent.is_empty()
        {
            sleep(SETTLED_WITHIN).await;
            for some in spent.chunks(RAISED) {
                let raised = timeout(BEAT_WITHIN, raise(server, some)).await;
                // Nor must a server that hangs: the next beat finds out.
                if !matches!(raised, Ok(true)) {
                    return;
                }
            }
        }
    }

    /// Reads what the books say of these, one after the other until one fails, which the ledger says.
    ///
    /// Cancel safety: what was read by then is in `spent`.
    async fn read(&self, due: Vec<BudgetKey>, spent: &mut Vec<(BudgetKey, Usd)>) {
        if self.ledger.flush().await.is_err() {
            return;
        }
        for key in due {
            let Ok(amount) = self.ledger.charged_in_books(key.clone()).await else {
                break;
            };
            if let Some(balance) = self.ledger.balance(&key) {
                balance.learn(amount);
            }
            spent.push((key, amount));
        }
    }

    async fn leave(&self) {
        let id = self.fleet.standing.id();
        if let Some(server) = &self.fleet.server {
            let left = timeout(BEAT_WITHIN, beat::leave(server, id)).await;
            if !matches!(left, Ok(Ok(()))) {
                info!("the other replicas learn in some seconds that this one has left");
            }
        }
        if let Some(members) = &self.members
            && !matches!(
                timeout(BOOKS_WITHIN, members.leave(id.to_owned())).await,
                Ok(Ok(()))
            )
        {
            info!(
                "the other replicas learn in some seconds from the database that this one has left"
            );
        }
    }
}
