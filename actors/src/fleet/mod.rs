//! What a replica knows of the others: how many there are, whether all keep the limits together, and what its share is while
//! they do not.
//!
//! Written by whoever talks to the others, read by every admission. A gateway that is alone has no [`FleetHandle`].

mod share;
mod standing;
mod touched;

use std::sync::Arc;

pub use share::Share;
pub use standing::{Keeping, Standing};
pub use touched::Touched;

use crate::ports::SharedLimits;

/// One worker's way to the other replicas. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FleetHandle {
    /// Who is there.
    pub standing: Arc<Standing>,
    /// Budgets in use.
    pub touched: Arc<Touched>,
    /// Where limits are kept together; `None`: nowhere, each replica keeps its share.
    pub limits: Option<Arc<dyn SharedLimits>>,
    /// Requests are refused while the shared limits cannot be reached.
    pub fails_closed: bool,
}
