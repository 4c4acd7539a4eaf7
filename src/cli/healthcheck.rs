//! `trunkline healthcheck`: a container image without curl can still ask.

use std::time::Duration;

use actix_rt::System;
use anyhow::anyhow;
use clap::Args;

use crate::config::{Env as _, ProcessEnv};

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// Port of the gateway [env: PORT] [default: 4000].
    #[arg(short, long)]
    port: Option<u16>,
}

pub(super) fn run(args: &HealthcheckArgs, env: ProcessEnv) -> Result<(), anyhow::Error> {
    let port = args
        .port
        .or_else(|| env.var("PORT")?.parse().ok())
        .unwrap_or(4000);
    let url = format!("http://127.0.0.1:{port}/health/liveliness");
    System::new().block_on(async {
        let response = awc::Client::builder()
            .timeout(Duration::from_secs(3))
            .finish()
            .get(&url)
            .send()
            .await
            .map_err(|err| anyhow!("{url} does not answer: {err}"))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(anyhow!("{url} answers {}", response.status()))
        }
    })
}
