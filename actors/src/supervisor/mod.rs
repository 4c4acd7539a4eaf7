//! Routing: what the config means, published as a table, and the deployments' actors, kept alive.
//!
//! Requests read the [`RoutingTable`] and make their [`RoutePlan`] of it, on their own thread. The actor makes the
//! table, owns the deployments' actors and re-creates any that died (actix's own supervisor restarts a stopped actor,
//! not one that panicked), and tells other replicas of cooldowns, as they tell it.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Handler, MailboxError};
use arc_swap::ArcSwap;

use crate::board::Board;
use crate::clock::{Clock, Millis};
use crate::deployment::{Cooldown, Deployment, DeploymentHandle};
use crate::ids::DeploymentId;
use crate::ports::CooldownExchange;

mod config;
mod fallback;
mod lineup;
mod messages;
mod plan;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod policy_tests;
mod retry;
mod run;
mod select;
mod step;
mod table;
mod tags;
#[cfg(test)]
mod tests;
mod wildcard;
#[cfg(test)]
mod world_tests;

pub use config::{Beside, DeploymentSpec, RoutingConfig};
#[cfg(any(test, feature = "test-util"))]
pub use messages::PoisonDeployment;
pub use messages::{Applied, ApplyConfig, HealthSnapshot, SupervisorSnapshot};
pub use plan::{MAX_RETRIES, RoutePlan};
pub use select::{LatencyArgs, Strategy};
pub use step::{Attempt, GiveUp, PlanAsk, Reason, Step, TooLong};
pub use table::{Resolved, RoutingTable};
pub use tags::TagRules;

/// Another replica's cooldown is believed up to here, as an upstream's `retry-after` is.
const LONGEST_SHARED: Duration = Duration::from_hours(1);

/// How the supervisor runs.
#[derive(Debug, Clone, Copy)]
pub struct SupervisorSettings {
    /// How often it looks for dead actors.
    pub check_interval: Duration,
    /// Its mailbox.
    pub mailbox_capacity: usize,
    /// Each deployment's mailbox.
    pub deployment_mailbox_capacity: usize,
}

/// Reads the routing table of the moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RoutingHandle(Arc<ArcSwap<RoutingTable>>);

/// What the rest of the process holds of the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    routing: RoutingHandle,
    board: Arc<Board>,
    pulse: Arc<Pulse>,
    check_interval: Duration,
    addr: Addr<Supervisor>,
}

/// Signs of life; written by the actor only.
#[derive(Debug, Default)]
struct Pulse {
    last_tick: AtomicU64,
    restarts: AtomicU64,
}

/// The actor.
#[derive(Debug)]
pub struct Supervisor {
    settings: SupervisorSettings,
    clock: Clock,
    routing: RoutingHandle,
    board: Arc<Board>,
    pulse: Arc<Pulse>,
    deployments: HashMap<DeploymentId, (DeploymentHandle, Addr<Deployment>)>,
    exchange: Arc<dyn CooldownExchange>,
    /// Deadlines that other replicas know.
    shared: HashMap<DeploymentId, Millis>,
}

/// Starts the supervisor, with an empty table, on an arbiter that is not an HTTP worker's. Its deployments run there too.
pub fn start(
    arbiter: &ArbiterHandle,
    settings: SupervisorSettings,
    exchange: Arc<dyn CooldownExchange>,
    clock: Clock,
) -> SupervisorHandle {
    let routing = RoutingHandle(Arc::new(ArcSwap::default()));
    let board = Arc::new(Board::default());
    let pulse = Arc::new(Pulse::default());
    pulse.last_tick.store(clock.now().0, Ordering::Release);
    let (own_routing, own_board, own_pulse) =
        (routing.clone(), Arc::clone(&board), Arc::clone(&pulse));
    let addr = Supervisor::start_in_arbiter(arbiter, move |_ctx| Supervisor {
        settings,
        clock,
        routing: own_routing,
        board: own_board,
        pulse: own_pulse,
        deployments: HashMap::new(),
        exchange,
        shared: HashMap::new(),
    });
    SupervisorHandle {
        routing,
        board,
        pulse,
        check_interval: settings.check_interval,
        addr,
    }
}

// === impl SupervisorSettings ===

impl Default for SupervisorSettings {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(1),
            mailbox_capacity: 64,
            deployment_mailbox_capacity: 256,
        }
    }
}

// === impl RoutingHandle ===

impl RoutingHandle {
    /// The table of the moment; a request uses one from beginning to end.
    pub fn load(&self) -> Arc<RoutingTable> {
        self.0.load_full()
    }
}

// === impl SupervisorHandle ===

impl SupervisorHandle {
    /// Reads the routing table.
    pub fn routing(&self) -> &RoutingHandle {
        &self.routing
    }

    /// The board of all deployments.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Applies a configuration; when it returns, requests are routed by it. Safe to cancel: applied or not, never half.
    ///
    /// # Errors
    /// [`MailboxError`], if the supervisor is gone.
    pub async fn apply(&self, config: RoutingConfig) -> Result<Applied, MailboxError> {
        self.addr.send(ApplyConfig(config)).await
    }

    /// The supervisor is there and has looked after its deployments within the last few intervals.
    pub fn is_live(&self, now: Millis) -> bool {
        let last_tick = Millis(self.pulse.last_tick.load(Ordering::Acquire));
        self.addr.connected() && now.since(last_tick) <= self.check_interval.saturating_mul(5)
    }

    /// Deployment actors that died and were re-created since the start.
    pub fn restarts(&self) -> u64 {
        self.pulse.restarts.load(Ordering::Relaxed)
    }

    /// The actor's address, for [`HealthSnapshot`].
    pub fn addr(&self) -> &Addr<Supervisor> {
        &self.addr
    }
}

// === impl Supervisor ===

impl Supervisor {
    fn apply(&mut self, config: RoutingConfig) -> Applied {
        let mut applied = Applied::default();
        let mut before = mem::take(&mut self.deployments);
        for (spec, rules) in config.deployments.iter().zip(config.rules()) {
            let kept = before.remove(&spec.id);
            let running = if let Some((handle, addr)) = kept {
                handle.set_rules(rules);
                applied.kept += 1;
                (handle, addr)
            } else if self.deployments.contains_key(&spec.id) {
                log::warn!("deployment.id" = spec.id.as_str(); "deployment {} is configured twice", spec.id);
                continue;
            } else {
                applied.started += 1;
                let row = self.board.open_row(&spec.id);
                let handle = DeploymentHandle::new(spec.id.clone(), row, rules);
                let addr = self.open(&handle);
                (handle, addr)
            };
            self.deployments.insert(spec.id.clone(), running);
        }
        applied.stopped = before.len();
        // The table goes first: whoever still has the old one keeps valid handles, whose reports wait in vain.
        let handles = self.deployments.iter();
        let handles = handles
            .map(|(id, (handle, _addr))| (id.clone(), handle.clone()))
            .collect();
        self.routing
            .0
            .store(Arc::new(RoutingTable::new(config, &handles)));
        for (id, (handle, _addr)) in before {
            // The last address goes with this scope, and the actor with it.
            handle.outbox().disconnect();
            self.board.close_row(&id);
            self.shared.remove(&id);
        }
        applied
    }

    fn open(&self, handle: &DeploymentHandle) -> Addr<Deployment> {
        Deployment::open(handle.clone(), self.settings.deployment_mailbox_capacity)
    }

    /// Re-creates actors that died. Their rows and what waits for them outlived them.
    fn check(&mut self) {
        let capacity = self.settings.deployment_mailbox_capacity;
        for (id, (handle, addr)) in &mut self.deployments {
            if addr.connected() {
                continue;
            }
            log::error!("deployment.id" = id.as_str(); "the actor of deployment {id} died and is re-created");
            *addr = Deployment::open(handle.clone(), capacity);
            self.pulse.restarts.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.clock.now();
        self.share(now);
        self.pulse.last_tick.store(now.0, Ordering::Release);
    }

    /// Takes over what other replicas raised, and tells them what was raised here.
    fn share(&mut self, now: Millis) {
        for (id, left) in self.exchange.raised_elsewhere() {
            let Some((handle, _addr)) = self.deployments.get(&id) else {
                continue;
            };
            let until = now.after(left.min(LONGEST_SHARED));
            if handle.rules().disabled || !handle.row().raise(&Cooldown::elsewhere(now, until)) {
                continue;
            }
            log::warn!("deployment.id" = id.as_str(); "deployment {id} cools down: another replica saw it fail");
            self.shared.insert(id, until);
        }
        for (id, (handle, _addr)) in &self.deployments {
            let Some(deadline) = handle.row().deadline().filter(|deadline| *deadline > now) else {
                continue;
            };
            if self.shared.get(id).is_none_or(|known| *known < deadline) {
                self.exchange.raised(id, deadline.since(now));
                self.shared.insert(id.clone(), deadline);
            }
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.settings.mailbox_capacity);
        ctx.run_interval(self.settings.check_interval, |supervisor, _ctx| {
            supervisor.check();
        });
    }
}

impl Handler<ApplyConfig> for Supervisor {
    type Result = Applied;

    fn handle(&mut self, apply: ApplyConfig, _ctx: &mut Self::Context) -> Self::Result {
        self.apply(apply.0)
    }
}

impl Handler<HealthSnapshot> for Supervisor {
    type Result = SupervisorSnapshot;

    fn handle(&mut self, _query: HealthSnapshot, _ctx: &mut Self::Context) -> Self::Result {
        let deployments = self.deployments.iter();
        let dead: Vec<DeploymentId> = deployments
            .filter(|(_id, (_handle, addr))| !addr.connected())
            .map(|(id, _running)| id.clone())
            .collect();
        SupervisorSnapshot {
            running: self.deployments.len() - dead.len(),
            dead,
            restarts: self.pulse.restarts.load(Ordering::Relaxed),
        }
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Handler<PoisonDeployment> for Supervisor {
    type Result = bool;

    fn handle(&mut self, poison: PoisonDeployment, _ctx: &mut Self::Context) -> Self::Result {
        use crate::deployment::Poison;

        self.deployments
            .get(&poison.0)
            .is_some_and(|(_handle, addr)| addr.try_send(Poison).is_ok())
    }
}
