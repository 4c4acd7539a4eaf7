//! Outcomes on their way to a deployment's actor: a bounded buffer that any worker fills and the actor drains.
//!
//! It belongs to neither, so a full mailbox or a dead actor loses nothing: what waits here is drained by the next tick,
//! or by the actor that takes the dead one's place.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix::Addr;
use arc_swap::ArcSwapOption;

use super::Deployment;
use super::latency::SizeClass;
use super::messages::{OutcomesWaiting, Tripped};
use super::outcome::Outcome;
use crate::board::Probe;
use crate::clock::Millis;

/// Outcomes that wake the actor before its tick.
const BATCH: usize = 64;
/// Outcomes kept at most; the oldest gives way, and is counted.
const CAPACITY: usize = 1024;

/// One outcome with its moment, and the probe's token, which stays taken until the actor has seen the verdict.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) at: Millis,
    pub(crate) probe: Option<Probe>,
    pub(crate) size: SizeClass,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<VecDeque<Report>>,
    /// The actor ticks, so it needs no message. Set by whoever wakes it, cleared by the actor when it finds nothing.
    awake: AtomicBool,
    dropped: AtomicU64,
    /// The actor of the moment; replaced by the supervisor when it re-creates it.
    addr: ArcSwapOption<Addr<Deployment>>,
}

// === impl Outbox ===

impl Outbox {
    /// Hands in an outcome for the next batch.
    pub(crate) fn push(&self, report: Report) {
        let len = {
            let mut waiting = self.lock();
            if waiting.len() >= CAPACITY {
                waiting.pop_front();
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            waiting.push_back(report);
            waiting.len()
        };
        if !self.awake.swap(true, Ordering::AcqRel) || len == BATCH {
            self.wake();
        }
    }

    /// Sends one outcome at once; if the mailbox is full or gone, it joins the batch.
    pub(crate) fn send(&self, report: Report) {
        let Some(addr) = self.addr.load_full() else {
            return self.push(report);
        };
        if let Err(err) = addr.try_send(Tripped(report)) {
            self.push(err.into_inner().0);
        }
    }

    /// Everything that waits. The actor calls it.
    pub(crate) fn take(&self) -> VecDeque<Report> {
        mem::take(&mut *self.lock())
    }

    /// The actor found nothing and stops ticking. False if something came in between: then it must go on.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.awake.store(false, Ordering::Release);
        // Whoever pushed before the store saw `awake` and sent no message: look once more.
        if self.lock().is_empty() {
            return true;
        }
        self.awake.store(true, Ordering::Release);
        false
    }

    /// Outcomes that gave way to newer ones.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn connect(&self, addr: Addr<Deployment>) {
        self.addr.store(Some(addr.into()));
    }

    /// Nobody listens any more.
    pub(crate) fn disconnect(&self) {
        self.addr.store(None);
    }

    fn wake(&self) {
        let sent = self
            .addr
            .load_full()
            .is_some_and(|addr| addr.try_send(OutcomesWaiting).is_ok());
        if !sent {
            // The next outcome tries again; until then the buffer keeps this one.
            self.awake.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Report>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
