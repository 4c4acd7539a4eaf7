//! Management endpoints.

pub mod allowed_ips;
pub mod audit;
mod change;
pub mod credentials;
pub mod fallbacks;
mod fields;
pub mod keys;
pub mod model_groups;
pub mod model_info;
pub mod model_pages;
pub mod models;
pub mod prices;
pub mod provider_budgets;
mod query;
mod reach;
pub mod router_state;
pub mod settings;
pub mod spend;
mod stored_setting;
pub mod tenants;
mod terms;

use std::time::Duration;

use log::warn;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::time::timeout;
use trunkline_actors::money::Usd;

use crate::http::extract::Call;

/// How long a query waits for the journal; after that it answers with what the store has.
const FLUSH_WAIT: Duration = Duration::from_secs(5);

/// Ships what the journal holds, if that is possible in time: a request that was answered is in what is told of spend.
async fn ship(call: &Call) {
    match timeout(FLUSH_WAIT, call.app().ledger.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(err)) => warn!(err:% = err; "spend is answered without the newest requests"),
        Err(_elapsed) => {
            warn!("spend is answered without the newest requests: the ledger is behind");
        }
    }
}

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
