//! Leases of deployments' minutes: tells what was used of each that has limits of its own, and takes what is leased in return.

use std::time::Duration;

use deadpool_redis::PoolError;
use deadpool_redis::redis::ScriptInvocation;
use trunkline_actors::clock::Clock;
use trunkline_actors::deployment::{
    DeploymentHandle, Grant, LEASED, LeaseAnswer, LeaseReport, PartAnswer, PartReport,
};
use trunkline_actors::ids::DeploymentId;

use super::connect::Server;
use super::keys::Keys;
use super::scripts::LEASE_OUT;
use super::wire::{MOST, millis};

/// Deployments of one call: the server does nothing else meanwhile.
const TOLD: usize = 64;

/// A deployment with limits of its own.
pub type Granted = (DeploymentHandle, Grant);

/// A replica's reports of some deployments.
pub(super) struct Reports<'a> {
    pub(super) keys: &'a Keys,
    pub(super) replica: &'a str,
    pub(super) replicas: u64,
    pub(super) lasts: Duration,
}

/// Reports all of them, and takes what is leased.
pub(super) async fn renew(
    server: &Server,
    replica: &str,
    replicas: u64,
    granted: &[Granted],
    clock: Clock,
) -> Result<(), PoolError> {
    for some in granted.chunks(TOLD) {
        let mut connection = server.pooled().await?;
        let now = clock.now();
        let reports: Vec<_> = some
            .iter()
            .map(|(handle, grant)| (handle.id(), handle.meter().report(*grant, replicas, now)))
            .collect();
        let telling = Reports {
            keys: &server.keys,
            replica,
            replicas,
            lasts: LEASED,
        };
        let call = telling.call("", &reports);
        let answered = call.invoke_async::<Vec<Vec<u64>>>(&mut *connection).await;
        let answers = answered.map_err(PoolError::Backend)?;
        let now = clock.now();
        for ((handle, _), answer) in some.iter().zip(&answers) {
            if let Some((number, answer)) = read(answer) {
                handle.meter().answered(number, answer, now);
            }
        }
    }
    Ok(())
}

/// Tells what was used, and gives everything back: the replica stops.
pub(super) async fn leave(
    server: &Server,
    replica: &str,
    granted: &[Granted],
    clock: Clock,
) -> Result<(), PoolError> {
    for some in granted.chunks(TOLD) {
        let mut connection = server.pooled().await?;
        let now = clock.now();
        let reports: Vec<_> = some
            .iter()
            .map(|(handle, grant)| (handle.id(), handle.meter().last_report(*grant, now)))
            .collect();
        let telling = Reports {
            keys: &server.keys,
            replica,
            replicas: 1,
            lasts: Duration::ZERO,
        };
        let call = telling.call("", &reports);
        let answered = call.invoke_async::<Vec<Vec<u64>>>(&mut *connection).await;
        answered.map_err(PoolError::Backend)?;
    }
    Ok(())
}

// === impl Reports ===

impl Reports<'_> {
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
                let limit = limit.map_or_else(String::new, |limit| limit.min(MOST).to_string());
                call.arg(limit);
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
    let [number, requests @ .., tokens_more, tokens_lack, tokens_wait] = answer else {
        return None;
    };
    let [more, lack, wait] = requests else {
        return None;
    };
    let part = |more: u64, lack: u64, wait: u64| PartAnswer {
        more,
        others_lack: lack > 0,
        wait: Duration::from_millis(wait),
    };
    Some((
        *number,
        LeaseAnswer {
            requests: part(*more, *lack, *wait),
            tokens: part(*tokens_more, *tokens_lack, *tokens_wait),
        },
    ))
}
