//! The named timers of one attempt, and what runs under them.
//!
//! `connect` (name lookup, TCP, TLS) · `first_byte` (until the status line) · `first_content` (until a stream's first
//! content) · `idle` (between two events) · `total` (the whole attempt). What is left of `request`, which runs over the
//! whole request, bounds `total`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::failure::AttemptError;
use super::route;
use super::target::Target;
use super::{Inbound, Shared};

/// No timer is longer: a configured one may be any number, and a moment beyond the clock's end cannot be made.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The timers of one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timers {
    pub(super) first_byte: Duration,
    pub(super) first_content: Duration,
    pub(super) idle: Duration,
    pub(super) total: Duration,
    /// When `total` is over.
    pub(super) deadline: Instant,
}

/// Rings when a wait has taken too long, for one wait after the other, each of which may last longer than the one before.
///
/// It is put off only when it rings: a timer for each of the waits costs more than most of what else is done with an event.
pub(super) struct Alarm(Pin<Box<Sleep>>);

// === impl Timers ===

impl Timers {
    /// Timers of one attempt that begins now; precedence: contract `routing` §6.
    pub(super) fn start(shared: &Shared, target: &Target, inbound: &Inbound) -> Self {
        let peek = &inbound.peek;
        let secs = |secs: Option<f64>| secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        let whole = secs(peek.timeout_secs)
            .or_else(|| secs(target.config.timeout_secs))
            .or_else(|| secs(shared.litellm.request_timeout_secs))
            .or(shared.router.timeout);
        let limit = if peek.stream {
            secs(peek.stream_timeout_secs)
                .or_else(|| secs(target.config.stream_timeout_secs))
                .or(shared.router.stream_timeout)
                .or(whole)
        } else {
            whole
        };
        let configured = shared.timeouts;
        // For a stream the limit bounds the gaps, for a whole answer the whole.
        let total = if peek.stream {
            at_most(configured.total, None)
        } else {
            at_most(configured.total, limit)
        };
        let total = total.min(route::left(shared, inbound));
        Self {
            first_byte: at_most(configured.first_byte, limit),
            first_content: at_most(configured.first_content, limit),
            idle: at_most(configured.idle, limit),
            total,
            deadline: Instant::now() + total,
        }
    }

    /// One limit over all.
    pub(super) fn of_check(limit: Duration) -> Self {
        let limit = limit.min(LONGEST);
        Self {
            first_byte: limit,
            first_content: limit,
            idle: limit,
            total: limit,
            deadline: Instant::now() + limit,
        }
    }

    /// What is left of the whole attempt.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

// === impl Alarm ===

impl Alarm {
    /// An alarm that nobody waits for later than `latest`.
    pub(super) fn new(latest: Instant) -> Self {
        Self(Box::pin(sleep_until(latest)))
    }

    /// Ready at `until`.
    pub(super) fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.0.as_mut();
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            // It rang for a wait that was over sooner.
            sleep.as_mut().reset(until);
        }
    }
}

/// Runs `work` until the named timer or the attempt's deadline, whichever comes first.
pub(super) async fn within<T>(
    timer: &'static str,
    limit: Duration,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, AttemptError> {
    let began = Instant::now();
    let until = (began + limit).min(deadline);
    timeout_at(until, work).await.map_err(|_elapsed| {
        let timer = if until == deadline { "total" } else { timer };
        AttemptError::timeout(timer, until.saturating_duration_since(began))
    })
}

/// The shorter of a configured timer and the attempt's own limit.
fn at_most(timer: Duration, limit: Option<Duration>) -> Duration {
    limit.map_or(timer, |limit| limit.min(timer)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn rang_after(alarm: &mut Alarm, wait: Duration) -> Duration {
        let began = Instant::now();
        poll_fn(|cx| alarm.poll(began + wait, cx)).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_at_the_end_of_the_wait_that_is_waited_for() {
        const SECOND: Duration = Duration::from_secs(1);
        let mut alarm = Alarm::new(Instant::now() + 60 * SECOND);

        // Three waits that are over before anything rings: each would ring later than the one before.
        for _ in 0..3 {
            let waiting = rang_after(&mut alarm, 15 * SECOND);
            assert!(
                timeout_at(Instant::now() + 5 * SECOND, waiting)
                    .await
                    .is_err()
            );
        }
        assert_eq!(rang_after(&mut alarm, 15 * SECOND).await, 15 * SECOND);
        assert_eq!(rang_after(&mut alarm, 7 * SECOND).await, 7 * SECOND);
        assert_eq!(rang_after(&mut alarm, 70 * SECOND).await, 70 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_sooner_than_it_was_set_for() {
        let mut alarm = Alarm::new(Instant::now() + Duration::from_mins(1));

        let rang = rang_after(&mut alarm, Duration::from_secs(2)).await;

        assert_eq!(rang, Duration::from_secs(2));
    }
}
