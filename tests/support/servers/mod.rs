//! The servers that tests need besides the gateway: real ones, private to the test that starts them.

pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod redis_cluster;
pub(crate) mod redis_sentinels;
mod tethered;
