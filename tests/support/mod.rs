//! What the integration tests stand on: the real binary ([`gateway`]), a scripted provider ([`upstream`]) that says
//! its lines from [`reply`], an HTTP client small enough to see every byte and every chunk as it arrives
//! ([`http`]), and the servers that it needs ([`servers`]).
//!
//! Nothing here sleeps. What has to happen in an order is ordered by a [`reply::Gate`]; what has to be waited for is
//! waited for on a condition with a deadline.

pub(crate) mod claude;
pub(crate) mod config;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod reply;
pub(crate) mod servers;
pub(crate) mod upstream;
pub(crate) mod wait;
