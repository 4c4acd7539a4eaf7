//! The scripts, each behind the prelude that all of them use.

use std::sync::LazyLock;

use deadpool_redis::redis::Script;

/// Takes what one request needs, or nothing.
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/take.lua")));
/// Applies a batch of settlements.
pub(super) static SETTLE: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("lua/settle.lua")));
/// Renews a lane's lease.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/renew.lua")));
/// Seeds windows, or raises them.
pub(super) static RAISE: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/raise.lua")));
/// Seeds a subject's day.
pub(super) static BEGIN_DAY: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("lua/begin_day.lua")));
/// Leases parts of deployments' minutes.
pub(super) static LEASE_OUT: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("lua/lease.lua")));
/// Says that a replica lives.
pub(super) static BEAT: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/beat.lua")));

fn script(body: &str) -> Script {
    Script::new(&format!("{}\n{body}", include_str!("lua/prelude.lua")))
}
