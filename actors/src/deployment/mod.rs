//! One deployment: its breaker and its latency, told by the requests that used it, published on the board.
//!
//! Requests choose and report through [`DeploymentHandle`] without a message each; the actor sees their outcomes in
//! batches and decides what needs counting. Health checks will live here too.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler};

use crate::clock::Millis;

mod breaker;
mod handle;
mod latency;
pub(crate) mod messages;
mod outbox;
mod outcome;
#[cfg(test)]
mod tests;

pub use breaker::{Breaker, Rules, Verdict};
pub use handle::DeploymentHandle;
pub use latency::Latency;
#[cfg(any(test, feature = "test-util"))]
pub use messages::Poison;
use messages::{OutcomesWaiting, Tripped};
use outbox::Report;
pub use outcome::{Failure, FailureKind, Outcome};

/// How long outcomes wait for their batch.
const DRAIN_AFTER: Duration = Duration::from_millis(5);

/// The actor: drives the breaker and the latency average of one deployment.
#[derive(Debug)]
pub struct Deployment {
    handle: DeploymentHandle,
    breaker: Breaker,
    latency: Latency,
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
        let Report { outcome, at, probe } = report;
        if let Outcome::Success {
            total,
            first_content,
            ..
        } = outcome
        {
            let average = self.latency.add(first_content.unwrap_or(total), at);
            self.handle.row().publish_latency(average);
        }
        match self.breaker.outcome(&outcome, probe.is_some(), at) {
            Verdict::Nothing => {}
            Verdict::Open(until) => {
                self.handle.row().raise_cooldown(until, at);
                let is_news = at >= self.logged_until;
                self.logged_until = self.logged_until.max(until);
                if !is_news {
                    return;
                }
                log::warn!(
                    "deployment.id" = self.handle.id().as_str(),
                    "until_ms" = until.0;
                    "deployment {} cools down", self.handle.id()
                );
            }
            Verdict::Close => {
                if let Some(probe) = &probe {
                    self.handle.row().heal(probe);
                    log::info!(
                        "deployment.id" = self.handle.id().as_str();
                        "deployment {} answers again", self.handle.id()
                    );
                }
            }
        }
        // The probe's token is freed here, after the verdict is on the board: no second probe in between.
        drop(probe);
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
