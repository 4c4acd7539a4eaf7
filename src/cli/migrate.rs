//! `trunkline migrate`: opening the store applies what is missing.

use actix_rt::System;

use super::{ConfigArgs, load_config, print_line};
use crate::config::{CliOverrides, ProcessEnv};
use crate::server::open_store;

pub(super) fn run(args: &ConfigArgs, env: ProcessEnv) -> Result<(), anyhow::Error> {
    let config = load_config(args, &CliOverrides::default(), env)?;
    System::new().block_on(async { open_store(&config).await.map(drop) })?;
    print_line(&format!("{} is up to date", config.general.database_url))
}
