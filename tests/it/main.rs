//! The integration tests: the real binary, scripted providers, plain HTTP. One file a theme; what they stand on is in
//! `tests/support/`.

#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod meta;
#[cfg(test)]
mod provider_errors;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod scripted_provider;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod spend;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod upstream_connections;
