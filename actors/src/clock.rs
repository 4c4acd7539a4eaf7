//! Time: a monotonic clock for decisions, the wall clock for records.
//!
//! Decisions take `now: Millis` as an argument and never read a clock themselves. [`Clock`] reads tokio's clock,
//! so that tests which pause it drive every deadline.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Monotonic milliseconds since the [`Clock`] was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// Wall-clock milliseconds since 1970-01-01 UTC. For records only; never for a deadline.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

/// Reads monotonic time. One is started per process and copied to whoever needs it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

// === impl Millis ===

impl Millis {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// This much later; saturates.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(wait)))
    }

    /// This much earlier; zero at the least.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(wait)))
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

// === impl UnixMs ===

impl UnixMs {
    /// The wall clock's time; zero if it stands before 1970.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since_epoch.map_or(0, whole_millis))
    }

    /// This much later; saturates.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(time)))
    }

    /// This much earlier; zero at the least.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(time)))
    }
}

impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Clock ===

impl Clock {
    /// A clock that starts at zero, now.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> Millis {
        Millis(whole_millis(self.origin.elapsed()))
    }
}

/// A duration in whole milliseconds; saturates after 584 million years.
pub fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
