//! Rate limits: requests and tokens per minute, tokens per day and parallel slots, per subject.
//!
//! Buckets are taken from through [`LimiterHandle`], on the worker's own thread, by [`admission`](crate::admission);
//! the actor only sweeps buckets that nothing is taken from. The exchange with Redis for fleets will live here too.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Handler};
use dashmap::DashMap;

use crate::clock::{Clock, UnixMs};
use crate::ids::Subject;

mod bucket;
mod counter;
mod day;
mod messages;
mod sharers;
#[cfg(test)]
mod tests;
mod window;

pub use bucket::{Bucket, LimitType, Limits, PARALLEL_RETRY, Remaining};
pub(crate) use bucket::{BucketState, BucketTake, Short};
pub use messages::{LimiterSnapshot, LimiterStatus};
pub use sharers::{Sharers, part_of};
pub use window::{DayWindow, TakenIn, Window};

/// How the rate limiter runs.
#[derive(Debug, Clone, Copy)]
pub struct LimiterSettings {
    /// Buckets kept at most; beyond it, new subjects of a kind share one bucket, so that invented customer names
    /// cannot fill the memory. About 3 KB each, with a limit of the day 6 KB.
    pub capacity: usize,
    /// How often idle buckets are swept.
    pub sweep_interval: Duration,
    /// The actor's mailbox.
    pub mailbox_capacity: usize,
}

/// Gives out buckets. Cheap to clone; the same buckets for every clone.
#[derive(Debug, Clone)]
pub struct LimiterHandle {
    /// Written by whoever needs a bucket first, and by the sweep; the shard's lock makes both safe: a bucket is only
    /// removed while nobody outside the map holds it.
    buckets: Arc<DashMap<Subject, Arc<Bucket>>>,
    capacity: usize,
    clock: Clock,
    addr: Addr<RateLimiter>,
}

/// The actor: sweeps idle buckets.
#[derive(Debug)]
pub struct RateLimiter {
    buckets: Arc<DashMap<Subject, Arc<Bucket>>>,
    settings: LimiterSettings,
    clock: Clock,
    swept: u64,
}

/// Starts the rate limiter on an arbiter that is not an HTTP worker's.
pub fn start(arbiter: &ArbiterHandle, settings: LimiterSettings, clock: Clock) -> LimiterHandle {
    let buckets = Arc::new(DashMap::new());
    let owned = Arc::clone(&buckets);
    let addr = RateLimiter::start_in_arbiter(arbiter, move |_ctx| RateLimiter {
        buckets: owned,
        settings,
        clock,
        swept: 0,
    });
    LimiterHandle {
        buckets,
        capacity: settings.capacity,
        clock,
        addr,
    }
}

// === impl LimiterSettings ===

impl Default for LimiterSettings {
    fn default() -> Self {
        Self {
            // More than the keys that are known at a time, with whom they belong to: these must not share.
            capacity: 250_000,
            sweep_interval: Duration::from_mins(1),
            mailbox_capacity: 64,
        }
    }
}

// === impl LimiterHandle ===

impl LimiterHandle {
    /// The subject's bucket, made on first use. Other limits than before resize it and keep what is taken.
    pub fn bucket(&self, subject: Subject, limits: Limits) -> Arc<Bucket> {
        if let Some(bucket) = self.buckets.get(&subject) {
            return resized(&bucket, limits);
        }
        let subject = if self.buckets.len() < self.capacity {
            subject
        } else {
            // Sharing refuses too much rather than too little, and only for newcomers until the next sweep.
            Subject::new(subject.kind, "")
        };
        let entry = self.buckets.entry(subject.clone());
        let bucket = entry.or_insert_with(|| Arc::new(Bucket::new(subject, limits)));
        resized(&bucket, limits)
    }

    /// Until when the books are to be asked what a subject took of its day: until `now`, or until the process `began` if it took
    /// some since, which nobody counts twice. `None`: it is known.
    pub fn day_lacks(&self, subject: &Subject, began: UnixMs, now: UnixMs) -> Option<UnixMs> {
        let bucket = self.buckets.get(subject).map(|bucket| Arc::clone(&bucket));
        match bucket.and_then(|bucket| bucket.day(self.clock.now())) {
            Some((true, _)) => None,
            Some((false, used)) if used > 0 => Some(began),
            Some(_) | None => Some(now),
        }
    }

    /// Has a subject's day begin with what was taken of it before: how long ago, and how much, the oldest first.
    pub fn begin_day(&self, subject: &Subject, limits: Limits, past: &[(Duration, u64)]) {
        let bucket = self.bucket(subject.clone(), limits);
        // Where there are too many, several share one, which nobody's day is.
        if bucket.subject() == subject {
            bucket.begin_day(past, self.clock.now());
        }
    }

    /// Buckets that are kept now.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// True while no subject has a bucket.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The actor is there. Buckets work without it, but are not swept: readiness should say so.
    pub fn is_live(&self) -> bool {
        self.addr.connected()
    }

    /// The actor's address, for [`LimiterSnapshot`].
    pub fn addr(&self) -> &Addr<RateLimiter> {
        &self.addr
    }
}

fn resized(bucket: &Arc<Bucket>, limits: Limits) -> Arc<Bucket> {
    bucket.resize(limits);
    Arc::clone(bucket)
}

// === impl RateLimiter ===

impl RateLimiter {
    fn sweep(&mut self) {
        let now = self.clock.now();
        let before = self.buckets.len();
        // Under the shard's write lock nobody can clone the bucket out of the map, so a count of one means that
        // no permit holds it.
        self.buckets
            .retain(|_subject, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_idle(now));
        let swept = before.saturating_sub(self.buckets.len());
        self.swept = self.swept.saturating_add(swept as u64);
    }
}

impl Actor for RateLimiter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.settings.mailbox_capacity);
        ctx.run_interval(self.settings.sweep_interval, |limiter, _ctx| {
            limiter.sweep();
        });
    }
}

impl Handler<LimiterSnapshot> for RateLimiter {
    type Result = LimiterStatus;

    fn handle(&mut self, _query: LimiterSnapshot, _ctx: &mut Self::Context) -> Self::Result {
        LimiterStatus {
            buckets: self.buckets.len(),
            swept: self.swept,
        }
    }
}
