//! Endpoints that tell something about a request without calling a provider.

pub mod supported_params;
pub mod token_counter;
