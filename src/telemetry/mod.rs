//! What the process says about itself: log lines and metrics.
//!
//! Knows no handler and no wire format. Nothing here may hold a key, a prompt or a body; [`redact`] is the last guard for
//! texts that come from a provider.

pub mod logging;
pub mod metrics;
pub mod redact;
