//! Trunkline's actors: they own what changes between requests, and hold the policy.
//!
//! A request never queues behind an actor. It calls their logic through what they publish: the routing table and the
//! board ([`supervisor`], [`board`]), buckets ([`rate_limiter`]) and balances ([`spend_ledger`]), taken together by
//! [`admission`]. Decisions are plain structs with `now` as an argument; the actors only drive them. This crate knows no
//! HTTP, no SQL and no provider's format: what it needs from outside is in [`ports`].
//!
//! | actor | messages | sent by | mailbox (default) | when it is full |
//! | --- | --- | --- | --- | --- |
//! | [`supervisor::Supervisor`] | `ApplyConfig`, `HealthSnapshot` | start-up, admin, readiness | 64 | the sender waits (awaited `send`) |
//! | [`deployment::Deployment`] | `OutcomesWaiting`, `Tripped` | workers, through [`deployment::DeploymentHandle`] | 256 | outcomes stay in the bounded outbox and are drained by the next tick; a tripping failure has raised the deadline on the board already |
//! | [`rate_limiter::RateLimiter`] | `LimiterSnapshot` | metrics | 64 | the sender waits; buckets work without the actor |
//! | [`spend_ledger::SpendLedger`] | `JournalHasMore` | workers, once per full batch | 64 | the hint is dropped; the tick ships within `flush_interval` |
//! | | `Flush`, `Drain` | admin, budget seeding, shutdown | | the sender waits |
//!
//! Each actor sets its mailbox size when it starts, and runs on the arbiter that its `start` function is given: never an
//! HTTP worker's. `do_send` is not used anywhere: it ignores the bound.
//!
//! A panic in a handler kills an actor for good. There are none on purpose; should one happen, the supervisor finds a
//! dead deployment by its next tick and re-creates it, and `is_live` of the other handles turns false for readiness.
//! What must not be lost is never only in a message: spend is in the journal, limits and counters are in shared state.

#![warn(missing_docs)]

pub mod admission;
pub mod board;
pub mod clock;
pub mod deployment;
pub mod fleet;
pub mod ids;
pub mod money;
pub mod ports;
pub mod rate_limiter;
pub mod spend_ledger;
pub mod supervisor;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
