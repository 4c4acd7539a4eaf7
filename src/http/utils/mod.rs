//! Endpoints that tell something about a request without calling a provider.

pub mod token_counter;
