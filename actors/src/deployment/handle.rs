//! What the request path holds of a deployment.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::breaker::Rules;
use super::cooldown::Cooldown;
use super::latency::SizeClass;
use super::meter::Meter;
use super::outbox::{Outbox, Report};
use super::outcome::Outcome;
use crate::board::{Probe, Row};
use crate::clock::Millis;
use crate::ids::DeploymentId;

/// Reports outcomes of a deployment and reads its row. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeploymentHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: DeploymentId,
    row: Arc<Row>,
    outbox: Outbox,
    meter: Meter,
    /// Replaced by the supervisor when the config changes.
    rules: ArcSwap<Rules>,
}

// === impl DeploymentHandle ===

impl DeploymentHandle {
    pub(crate) fn new(id: DeploymentId, row: Arc<Row>, rules: Rules) -> Self {
        Self(Arc::new(Inner {
            id,
            row,
            outbox: Outbox::default(),
            meter: Meter::default(),
            rules: ArcSwap::from_pointee(rules),
        }))
    }

    /// Which deployment it is.
    pub fn id(&self) -> &DeploymentId {
        &self.0.id
    }

    /// Its row of the board.
    pub fn row(&self) -> &Arc<Row> {
        &self.0.row
    }

    /// Requests and tokens of its last minute.
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn rules(&self) -> Rules {
        **self.0.rules.load()
    }

    pub(crate) fn set_rules(&self, rules: Rules) {
        self.0.rules.store(Arc::new(rules));
    }

    /// Outcomes that were dropped because nobody drained them for long; the row's counters have them all the same.
    pub fn dropped_outcomes(&self) -> u64 {
        self.0.outbox.dropped()
    }

    /// Reports how an attempt ended. Never waits: counters and a tripping deadline are on the board when it returns,
    /// the rest goes to the actor with the next batch.
    pub fn report(&self, outcome: Outcome, now: Millis) {
        self.report_attempt(outcome, None, SizeClass::default(), now);
    }

    /// As [`report`](Self::report), for an attempt with a prompt of that size, which may have been the probe of a
    /// half-open breaker.
    pub fn report_attempt(
        &self,
        outcome: Outcome,
        probe: Option<Probe>,
        size: SizeClass,
        now: Millis,
    ) {
        let Inner { row, outbox, .. } = &*self.0;
        let mut unbatched = probe.is_some();
        let answered = match &outcome {
            Outcome::Success { .. } => true,
            Outcome::Failure(failure) => failure.is_the_requests_fault(),
            Outcome::Neutral => false,
        };
        // At once, so that the next request finds the deployment well although its actor has not run yet.
        if let Some(probe) = probe.as_ref().filter(|_probe| answered) {
            row.heal(probe);
        }
        match &outcome {
            // A probe without a verdict is simply dropped: the next request may try.
            Outcome::Neutral => return,
            Outcome::Success {
                completion_tokens, ..
            } => row.count(false, *completion_tokens),
            Outcome::Failure(failure) => {
                row.count(!failure.is_the_requests_fault(), 0);
                let trips = self.rules().trips_alone(failure, probe.is_some());
                if let Some((rule, duration)) = trips {
                    let counts = row.counts();
                    unbatched |= row.raise(&Cooldown {
                        rule,
                        kind: Some(failure.kind),
                        status: failure.status,
                        since: now,
                        until: now.after(duration),
                        requests: counts.requests.saturating_add(1),
                        failures: counts.failures.saturating_add(1),
                    });
                }
            }
        }
        let report = Report {
            outcome,
            at: now,
            probe,
            size,
        };
        if unbatched {
            outbox.send(report);
        } else {
            outbox.push(report);
        }
    }
}
