//! Cooldowns on their way to other replicas and from them. The supervisor leaves and takes them at its ticks, the keeper carries
//! them with its next beat; neither waits for the other.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use trunkline_actors::ids::DeploymentId;
use trunkline_actors::ports::CooldownExchange;

/// See the module. Both maps hold at most one entry a deployment.
#[derive(Debug, Default)]
pub struct SharedCooldowns {
    raised: Mutex<HashMap<DeploymentId, Instant>>,
    heard: Mutex<HashMap<DeploymentId, Instant>>,
}

// === impl SharedCooldowns ===

impl SharedCooldowns {
    /// What was raised here and not told yet, with what is left of it.
    pub(super) fn to_tell(&self) -> Vec<(DeploymentId, Duration)> {
        left(mem::take(&mut *lock(&self.raised)))
    }

    /// Telling failed: next time, unless it was raised again since.
    pub(super) fn not_told(&self, cooldowns: Vec<(DeploymentId, Duration)>) {
        let now = Instant::now();
        let mut raised = lock(&self.raised);
        for (deployment, left) in cooldowns {
            raised.entry(deployment).or_insert(now + left);
        }
    }

    /// What other replicas raised.
    pub(super) fn heard(&self, deployment: DeploymentId, left: Duration) {
        lock(&self.heard).insert(deployment, Instant::now() + left);
    }
}

impl CooldownExchange for SharedCooldowns {
    fn raised(&self, deployment: &DeploymentId, left: Duration) {
        lock(&self.raised).insert(deployment.clone(), Instant::now() + left);
    }

    fn raised_elsewhere(&self) -> Vec<(DeploymentId, Duration)> {
        left(mem::take(&mut *lock(&self.heard)))
    }
}

/// Deadlines as what is left of them; those that are over are left out.
fn left(deadlines: HashMap<DeploymentId, Instant>) -> Vec<(DeploymentId, Duration)> {
    let now = Instant::now();
    let left = deadlines
        .into_iter()
        .map(|(deployment, deadline)| (deployment, deadline.saturating_duration_since(now)));
    left.filter(|(_, left)| !left.is_zero()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cooldown_is_told_once_with_what_is_left_of_it() {
        let cooldowns = SharedCooldowns::default();
        let (a, b) = (DeploymentId::new("a"), DeploymentId::new("b"));
        cooldowns.raised(&a, Duration::from_secs(5));
        cooldowns.raised(&b, Duration::from_secs(1));
        advance(Duration::from_secs(2)).await;
        let told = cooldowns.to_tell();
        assert_eq!(told, [(a.clone(), Duration::from_secs(3))]);
        assert!(cooldowns.to_tell().is_empty());
        cooldowns.not_told(told);
        advance(Duration::from_secs(1)).await;
        assert_eq!(cooldowns.to_tell(), [(a.clone(), Duration::from_secs(2))]);

        cooldowns.heard(b.clone(), Duration::from_secs(4));
        assert_eq!(cooldowns.raised_elsewhere(), [(b, Duration::from_secs(4))]);
        assert!(cooldowns.raised_elsewhere().is_empty());
    }
}
