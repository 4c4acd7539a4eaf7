//! Failed sign-ins by address, so that passwords are not guessed.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use dashmap::DashMap;
use trunkline_actors::clock::Millis;

/// Failures of one address within [`WINDOW`].
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_mins(5);
/// Addresses that are remembered at most.
const MOST_ADDRESSES: usize = 10_000;

/// How often each address failed lately.
#[derive(Debug, Default)]
pub struct Attempts(DashMap<Option<IpAddr>, (u32, Millis)>);

// === impl Attempts ===

impl Attempts {
    /// Whether somebody at that address may try.
    ///
    /// # Errors
    /// How long it may not.
    pub fn check(&self, address: Option<IpAddr>, now: Millis) -> Result<(), Duration> {
        let Some(failed) = self.0.get(&network(address)).map(|failed| *failed) else {
            return Ok(());
        };
        let (times, since) = failed;
        let age = now.since(since);
        if times < MOST || age >= WINDOW {
            return Ok(());
        }
        Err(WINDOW.saturating_sub(age))
    }

    /// Somebody at that address failed.
    pub fn failed(&self, address: Option<IpAddr>, now: Millis) {
        if self.0.len() >= MOST_ADDRESSES {
            self.0.retain(|_, (_, since)| now.since(*since) < WINDOW);
        }
        if self.0.len() >= MOST_ADDRESSES {
            // A flood from everywhere: forgetting is better than growing.
            self.0.clear();
        }
        let mut entry = self.0.entry(network(address)).or_insert((0, now));
        if now.since(entry.1) >= WINDOW {
            *entry = (0, now);
        }
        entry.0 = entry.0.saturating_add(1);
    }
}

/// Who has one address of version 6 has all of its network.
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    Some(match address?.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn who_fails_ten_times_waits_and_nobody_else_does() {
        let attempts = Attempts::default();
        let (one, two) = (address("192.0.2.1"), address("192.0.2.2"));
        for second in 0..10 {
            assert_eq!(attempts.check(one, Millis(second * 1000)), Ok(()));
            attempts.failed(one, Millis(second * 1000));
        }
        let wait = attempts.check(one, Millis(10_000)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(290));
        assert_eq!(attempts.check(two, Millis(10_000)), Ok(()));
        assert_eq!(attempts.check(one, Millis(300_000)), Ok(()));
        attempts.failed(one, Millis(300_000));
        assert_eq!(attempts.check(one, Millis(300_001)), Ok(()));
    }

    #[test]
    fn a_network_of_version_six_is_one_caller() {
        let attempts = Attempts::default();
        for host in 1..=10 {
            attempts.failed(address(&format!("2001:db8::{host}")), Millis(0));
        }
        assert!(
            attempts
                .check(address("2001:db8::ffff"), Millis(1))
                .is_err()
        );
        assert!(
            attempts
                .check(address("2001:db8:0:1::1"), Millis(1))
                .is_ok()
        );
    }
}
