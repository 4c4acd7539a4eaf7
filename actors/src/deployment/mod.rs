//! One deployment: its breaker and its latency, told by the requests that used it, published on the board.
//!
//! Requests choose and report through [`DeploymentHandle`] without a message each; the actor sees their outcomes in
//! batches and decides what needs counting. Health checks will live here too.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler};

use crate::clock::{Millis, whole_millis};
use crate::ids::DeploymentId;

mod breaker;
mod cooldown;
mod failure;
mod handle;
mod latency;
mod lease;
pub(crate) mod messages;
mod meter;
mod outbox;
mod outcome;
mod policy;
mod speeds;
#[cfg(test)]
mod tests;

pub use breaker::{Breaker, Counts, Rules, Verdict};
pub use cooldown::{Cooldown, Rule};
pub use failure::{Blame, Failure, FailureKind, FallbackList, Retry, Treatment, Trips};
pub use handle::DeploymentHandle;
pub use latency::{Latency, Measure, SizeClass};
pub use lease::{LEASED, LeaseAnswer, LeaseReport, PartAnswer, PartReport};
#[cfg(any(test, feature = "test-util"))]
pub use messages::Poison;
use messages::{OutcomesWaiting, Tripped};
pub use meter::{Grant, Meter, Metered, Used};
use outbox::Report;
pub use outcome::Outcome;
pub use policy::{ByClass, ErrorClass};
pub use speeds::Speeds;

/// How long outcomes wait for their batch.
const DRAIN_AFTER: Duration = Duration::from_millis(5);
/// A timeout counts as an answer that took this long (contract, routing §2).
const TIMED_OUT: Duration = Duration::from_secs(1000);

/// The actor: drives the breaker and the latency average of one deployment.
#[derive(Debug)]
pub struct Deployment {
    handle: DeploymentHandle,
    breaker: Breaker,
    latency: Latency,
    /// One average for each measure.
    speeds: [Latency; Measure::COUNT],
    mailbox_capacity: usize,
    /// A drain is scheduled.
    ticking: bool,
    /// The cooldown that was logged last: the failures of one moment are one cooldown.
    logged_until: Millis,
}

// === impl Deployment ===

impl Deployment {
    /// Starts the actor of that handle on the current arbiter (the supervisor's) and connects the outbox to it.
    pub(crate) fn open(handle: DeploymentHandle, mailbox_capacity: usize) -> Addr<Self> {
        let connect = handle.clone();
        let addr = Self {
            breaker: Breaker::new(handle.rules()),
            handle,
            latency: Latency::default(),
            speeds: Default::default(),
            mailbox_capacity,
            ticking: false,
            logged_until: Millis::ZERO,
        }
        .start();
        connect.outbox().connect(addr.clone());
        addr
    }

    fn drain(&mut self) -> usize {
        let reports = self.handle.outbox().take();
        let count = reports.len();
        for report in reports {
            self.judge(report);
        }
        count
    }

    fn judge(&mut self, report: Report) {
        self.breaker.set_rules(self.handle.rules());
        let Report {
            outcome,
            at,
            probe,
            size,
        } = report;
        self.learn(&outcome, size, at);
        let verdict = self.breaker.outcome(&outcome, probe.is_some(), at);
        let row = self.handle.row();
        row.publish_counts(self.breaker.counts());
        match verdict {
            Verdict::Nothing => {}
            Verdict::Open(cooldown) => {
                row.raise(&cooldown);
                let is_news = at >= self.logged_until;
                self.logged_until = self.logged_until.max(cooldown.until);
                if is_news {
                    log_cooldown(self.handle.id(), &cooldown);
                }
            }
            Verdict::Close => {
                if probe.is_some() {
                    log::info!(
                        "deployment.id" = self.handle.id().as_str();
                        "deployment {} answers again", self.handle.id()
                    );
                }
            }
        }
        // The probe's token is freed here, after a failed one has raised the cooldown: no second probe in between.
        drop(probe);
    }

    /// Adds what an attempt took to the averages that selection reads.
    fn learn(&mut self, outcome: &Outcome, size: SizeClass, at: Millis) {
        let row = self.handle.row();
        match *outcome {
            Outcome::Success {
                total,
                first_content,
                completion_tokens,
                ..
            } => {
                row.publish_latency(self.latency.add(first_content.unwrap_or(total), at));
                let measure = Measure::of(size, first_content.is_some());
                let figure = first_content.unwrap_or_else(|| per_token(total, completion_tokens));
                if let Some(average) = self.speeds.get_mut(measure.index()) {
                    row.publish_speed(measure, average.add(figure, at), at);
                }
            }
            Outcome::Failure(failure) if failure.kind == FailureKind::Timeout => {
                for measure in [Measure::of(size, true), Measure::of(size, false)] {
                    if let Some(average) = self.speeds.get_mut(measure.index()) {
                        row.publish_speed(measure, average.add(TIMED_OUT, at), at);
                    }
                }
            }
            Outcome::Failure(_) | Outcome::Neutral => {}
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.ticking {
            return;
        }
        self.ticking = true;
        ctx.run_later(DRAIN_AFTER, |deployment, ctx| {
            deployment.ticking = false;
            if deployment.drain() > 0 || !deployment.handle.outbox().fall_asleep() {
                deployment.tick(ctx);
            }
        });
    }
}

fn per_token(total: Duration, tokens: u64) -> Duration {
    let tokens = u32::try_from(tokens.max(1)).unwrap_or(u32::MAX);
    total / tokens
}

fn log_cooldown(id: &DeploymentId, cooldown: &Cooldown) {
    let Cooldown {
        rule,
        kind,
        status,
        requests,
        failures,
        ..
    } = cooldown;
    log::warn!(
        "deployment.id" = id.as_str(),
        rule = rule.as_str(),
        failure = kind.map_or("", FailureKind::as_str),
        status,
        failures,
        requests,
        "cooldown.ms" = whole_millis(cooldown.until.since(cooldown.since));
        "deployment {id} cools down"
    );
}

impl Actor for Deployment {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.mailbox_capacity);
        // What waited for a dead predecessor.
        self.tick(ctx);
    }
}

impl Handler<OutcomesWaiting> for Deployment {
    type Result = ();

    fn handle(&mut self, _hint: OutcomesWaiting, ctx: &mut Self::Context) {
        if self.ticking {
            // A full batch: it does not wait for the tick.
            self.drain();
        }
        self.tick(ctx);
    }
}

impl Handler<Tripped> for Deployment {
    type Result = ();

    fn handle(&mut self, tripped: Tripped, _ctx: &mut Self::Context) {
        // Earlier outcomes first, or the counts would be of another order than the requests.
        self.drain();
        self.judge(tripped.0);
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Handler<Poison> for Deployment {
    type Result = ();

    #[expect(clippy::panic, reason = "a test asks for it")]
    fn handle(&mut self, _poison: Poison, _ctx: &mut Self::Context) {
        panic!("poisoned by a test");
    }
}
