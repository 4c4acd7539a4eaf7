//! Background health checks: every deployment is checked now and then, off the request path, on a thread of its own.
//!
//! What a check is, `dispatch` knows; here is when it is done (`schedule`), what was found last ([`CheckBoard`]), and
//! what follows from it: a line of the log when it changes, a metric, and with `enable_health_check_routing` a mark on the
//! deployment's row of the actors' board. Nothing here breaks a circuit: that is for real requests.

mod board;
mod checker;
mod schedule;

pub use board::{CheckBoard, Checked, Failure};
pub use checker::Checker;
