//! Leases of deployments' minutes: tells what was used of each that has limits of its own, and takes what is leased in return.
//!
//! It goes beside the keeper's rounds and not in them: a lease is short, and books or a server that take their time must not keep
//! it from being renewed.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::PoolError;
use deadpool_redis::redis::ScriptInvocation;
use log::debug;
use tokio::time::{MissedTickBehavior, interval, timeout};
use trunkline_actors::clock::Clock;
use trunkline_actors::deployment::{
    DeploymentHandle, Grant, LEASED, LeaseAnswer, LeaseReport, PartAnswer, PartReport,
};
use trunkline_actors::ids::DeploymentId;

use super::Fleet;
use super::connect::Server;
use super::keys::Keys;
use super::scripts::LEASE_OUT;
use super::wire::{MOST, millis, or_empty};

/// From one report to the next.
const EVERY: Duration = Duration::from_millis(500);
/// How long a call may take.
const WITHIN: Duration = Duration::from_secs(1);
/// Deployments of one call: the server does nothing else meanwhile.
const TOLD: usize = 64;

/// A deployment with limits of its own.
pub type Granted = (DeploymentHandle, Grant);

/// The job.
pub(super) struct Leasing {
    pub(super) fleet: Arc<Fleet>,
    /// Deployments that have limits of their own at the moment.
    pub(super) granted: Box<dyn Fn() -> Vec<Granted>>,
    pub(super) clock: Clock,
}

/// A replica's reports of some deployments.
pub(super) struct Reports<'a> {
    pub(super) keys: &'a Keys,
    pub(super) replica: &'a str,
    pub(super) replicas: u64,
    pub(super) lasts: Duration,
}

// === impl Leasing ===

impl Leasing {
    /// Never ends.
    pub(super) async fn rounds(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.renew().await;
        }
    }

    /// Has deployments' own limits kept with the others, by lease, or by this replica's share where there is none.
    pub(super) async fn renew(&self) {
        let granted = (self.granted)();
        let standing = &self.fleet.standing;
        let share = standing.share();
        for (handle, _) in &granted {
            handle.meter().stand(share);
        }
        let Some(server) = &self.fleet.server else {
            return;
        };
        if !standing.is_together() {
            return;
        }
        let reports = self.reports(server, share.replicas, LEASED);
        for some in granted.chunks(TOLD) {
            let telling = reports.tell(server, some, |(handle, grant)| {
                let now = self.clock.now();
                handle.meter().report(*grant, share.replicas, now)
            });
            let answers = match timeout(WITHIN, telling).await {
                Ok(Ok(answers)) => answers,
                Ok(Err(err)) => {
                    debug!(err:% = err; "limits of deployments could not be leased");
                    return;
                }
                Err(_elapsed) => {
                    debug!("limits of deployments could not be leased in time");
                    return;
                }
            };
            let now = self.clock.now();
            for ((handle, _), answer) in some.iter().zip(&answers) {
                if let Some((number, answer)) = read(answer) {
                    handle.meter().answered(number, answer, now);
                }
            }
        }
    }

    /// Tells what was used, and gives everything back: the replica stops.
    pub(super) async fn leave(&self) {
        let Some(server) = &self.fleet.server else {
            return;
        };
        let granted = (self.granted)();
        let reports = self.reports(server, 1, Duration::ZERO);
        let giving_back = async {
            for some in granted.chunks(TOLD) {
                let telling = reports.tell(server, some, |(handle, grant)| {
                    handle.meter().last_report(*grant, self.clock.now())
                });
                telling.await?;
            }
            Ok::<_, PoolError>(())
        };
        if !matches!(timeout(WITHIN, giving_back).await, Ok(Ok(()))) {
            debug!("what was leased of deployments' limits counts as used");
        }
    }

    fn reports<'a>(&'a self, server: &'a Server, replicas: u64, lasts: Duration) -> Reports<'a> {
        Reports {
            keys: &server.keys,
            replica: self.fleet.standing.id(),
            replicas,
            lasts,
        }
    }
}

// === impl Reports ===

impl Reports<'_> {
    /// Has `report` made of each of them once there is a connection; the server's answers, in that order.
    async fn tell(
        &self,
        server: &Server,
        some: &[Granted],
        report: impl Fn(&Granted) -> LeaseReport,
    ) -> Result<Vec<Vec<u64>>, PoolError> {
        let mut connection = server.pooled().await?;
        let reports: Vec<_> = some.iter().map(|one| (one.0.id(), report(one))).collect();
        let answered = self.call("", &reports).invoke_async(&mut *connection).await;
        answered.map_err(PoolError::Backend)
    }

    /// The call of `lease.lua`. `time` is empty, but for tests.
    pub(super) fn call(
        &self,
        time: &str,
        reports: &[(&DeploymentId, LeaseReport)],
    ) -> ScriptInvocation<'static> {
        let mut call = LEASE_OUT.prepare_invoke();
        call.arg(time)
            .arg(self.replica)
            .arg(millis(self.lasts))
            .arg(self.replicas);
        for (deployment, report) in reports {
            call.key(self.keys.minute(deployment))
                .key(self.keys.leases(deployment))
                .arg(report.number);
            for part in [report.requests, report.tokens] {
                let PartReport {
                    limit,
                    used,
                    minute,
                    kept,
                    wanted,
                    lacked,
                } = part;
                call.arg(or_empty(limit));
                for figure in [used, minute, kept, wanted, lacked] {
                    call.arg(figure.min(MOST));
                }
            }
        }
        call
    }
}

/// The number of the report and what it is answered; `None` for one that came after a later one.
pub(super) fn read(answer: &[u64]) -> Option<(u64, LeaseAnswer)> {
    let &[
        number,
        more,
        lack,
        wait,
        tokens_more,
        tokens_lack,
        tokens_wait,
    ] = answer
    else {
        return None;
    };
    let part = |more: u64, lack: u64, wait: u64| PartAnswer {
        more,
        others_lack: lack > 0,
        wait: Duration::from_millis(wait),
    };
    Some((
        number,
        LeaseAnswer {
            requests: part(more, lack, wait),
            tokens: part(tokens_more, tokens_lack, tokens_wait),
        },
    ))
}
