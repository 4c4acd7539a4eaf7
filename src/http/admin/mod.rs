//! Management endpoints.

pub mod key_generate;
pub mod model_info;
pub mod provider_budgets;
pub mod router_state;
pub mod spend;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use trunkline_actors::money::Usd;

/// An amount as a plain JSON number with exactly the digits it has (`0.0000003`, never `3e-7`).
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainUsd(pub(super) Usd);

impl Serialize for PlainUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A JSON number is text: no float comes between.
        RawValue::from_string(self.0.to_string())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}
