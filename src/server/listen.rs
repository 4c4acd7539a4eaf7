//! Where the process listens, to whom, and until when.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use actix_cors::Cors;
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;

/// Response headers that a page may read.
const EXPOSED: [&str; 12] = [
    "retry-after",
    "x-litellm-call-id",
    "x-litellm-model-id",
    "x-litellm-model-group",
    "x-litellm-response-cost",
    "x-litellm-attempted-retries",
    "x-litellm-attempted-fallbacks",
    "x-trunkline-request-id",
    "x-trunkline-usage",
    "x-trunkline-price-version",
    "x-trunkline-budget-remaining",
    "x-trunkline-weakened",
];

/// LiteLLM's default: any page may call, with a key. Credentials are never cookies here.
pub(super) fn any_origin() -> Cors {
    Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allow_any_method()
        .allow_any_header()
        .expose_headers(EXPOSED)
        // The answer is the same for every origin; the default headers say `vary` once.
        .disable_vary_header()
        .max_age(600)
}

/// SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Where to listen, and whether that is outside loopback without a master key.
pub(super) fn addresses(config: &Config) -> Result<(Vec<SocketAddr>, bool), anyhow::Error> {
    let has_key = config.general.master_key.is_some();
    let host =
        config
            .server
            .host
            .as_deref()
            .unwrap_or(if has_key { "0.0.0.0" } else { "127.0.0.1" });
    let addresses: Vec<SocketAddr> = (host.trim_matches(['[', ']']), config.server.port)
        .to_socket_addrs()
        .with_context(|| format!("--host {host} is no address of this machine"))?
        .collect();
    let outside = addresses.iter().any(|address| !is_loopback(address.ip()));
    Ok((addresses, outside && !has_key))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
