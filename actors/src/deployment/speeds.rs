//! A deployment's averages as every request reads them: one figure for each [`Measure`], with its age.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latency::Measure;
use crate::clock::Millis;

/// A figure is taken as it is for so long; then it halves with every further such time. A deployment that was slow once
/// is so asked again, and a timeout does not keep it out until the figure expires.
const HALVES_AFTER: Duration = Duration::from_mins(1);
/// More halvings leave nothing of any figure.
const MOST_HALVINGS: u32 = 40;

/// Published figures. Written by the deployment's actor only; a reader may see a new figure with the old age, which
/// matters to nobody.
#[derive(Debug, Default)]
pub struct Speeds([Figure; Measure::COUNT]);

#[derive(Debug, Default)]
struct Figure {
    /// 0: none yet.
    micros: AtomicU64,
    at: AtomicU64,
}

// === impl Speeds ===

impl Speeds {
    /// The figure at `now`, halved by its age; `None` if there is none younger than `ttl`.
    pub fn get(&self, measure: Measure, now: Millis, ttl: Duration) -> Option<Duration> {
        let figure = self.0.get(measure.index())?;
        let micros = figure.micros.load(Ordering::Relaxed);
        let age = now.since(Millis(figure.at.load(Ordering::Relaxed)));
        if micros == 0 || age >= ttl {
            return None;
        }
        let halvings = u32::try_from(age.as_secs() / HALVES_AFTER.as_secs()).unwrap_or(u32::MAX);
        let micros = micros.checked_shr(halvings.min(MOST_HALVINGS)).unwrap_or(0);
        Some(Duration::from_micros(micros.max(1)))
    }

    pub(crate) fn set(&self, measure: Measure, figure: Duration, at: Millis) {
        let Some(known) = self.0.get(measure.index()) else {
            return;
        };
        let micros = u64::try_from(figure.as_micros()).unwrap_or(u64::MAX);
        known.micros.store(micros.max(1), Ordering::Relaxed);
        known.at.store(at.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::SizeClass;

    #[test]
    fn figures_are_apart_by_measure_fade_when_idle_and_expire() {
        let speeds = Speeds::default();
        let streams = Measure::of(SizeClass::Short, true);
        let secs = Duration::from_secs;
        speeds.set(streams, secs(8), Millis(0));
        let get = |measure, at| speeds.get(measure, Millis(at), secs(600));
        assert_eq!(get(streams, 59_999), Some(secs(8)));
        assert_eq!(get(streams, 60_000), Some(secs(4)));
        assert_eq!(get(streams, 180_000), Some(secs(1)));
        assert_eq!(get(streams, 600_000), None);
        assert_eq!(get(Measure::of(SizeClass::Short, false), 0), None);
        assert_eq!(get(Measure::of(SizeClass::Long, true), 0), None);
    }
}
