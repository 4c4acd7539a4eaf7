//! `trunkline [serve]`.

use actix_rt::System;

use super::{ServeArgs, load_config, read_config, start_logging};
use crate::app::ReloadConfig;
use crate::config::{CliOverrides, ProcessEnv};
use crate::server;

pub(super) fn run(args: &ServeArgs, env: ProcessEnv) -> Result<(), anyhow::Error> {
    let overrides = CliOverrides {
        host: args.host.clone(),
        port: args.port,
        workers: args.num_workers,
    };
    let config = load_config(&args.config, &overrides, env)?;
    let _log = start_logging(&config, env)?;
    let args = args.config.clone();
    let reload = ReloadConfig(Box::new(move || read_config(&args, &overrides, env)));
    System::new().block_on(server::serve(config, reload))
}
