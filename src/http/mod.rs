//! HTTP in front: the route table, extractors, one file per endpoint, one error type.
//!
//! Handlers translate between HTTP and the parts below; no provider JSON and no SQL is known here. Start reading at
//! [`routes`]: it is the whole surface of the gateway.

pub mod admin;
pub mod anthropic;
mod call;
pub mod docs;
pub mod error;
pub mod extract;
pub mod health;
pub mod metrics;
mod middleware;
pub mod model_call;
pub mod openai;
mod origin;
pub mod routes;
mod served;
pub mod sign_in;
mod time;
pub mod utils;

pub use error::{ApiError, Code};
pub(crate) use middleware::guard;
