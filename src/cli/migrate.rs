//! `trunkline migrate`: opening the store applies what is missing. With `--check` nothing is applied, and the exit code
//! says whether something is missing.

use std::process::ExitCode;

use actix_rt::System;
use clap::Args;

use super::{ConfigArgs, load_config, print_line};
use crate::config::{CliOverrides, ProcessEnv};
use crate::server::{open_store, schema_version};

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Change nothing; exit with 1 if migrations are missing.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &MigrateArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let database = &config.general.database_url;
    if args.check {
        let version = System::new().block_on(schema_version(&config))?;
        let known = version.known;
        match version.found {
            Some(found) if found > known => {
                print_line(&format!(
                    "{database} has schema {found}, this binary knows up to {known}"
                ))?;
                return Ok(ExitCode::FAILURE);
            }
            Some(found) if found == known => {}
            found => {
                print_line(&format!(
                    "{database} has schema {} of {known}: `trunkline migrate` or the next start applies what is missing",
                    found.unwrap_or_default()
                ))?;
                return Ok(ExitCode::FAILURE);
            }
        }
    } else {
        System::new().block_on(async { open_store(&config).await.map(drop) })?;
    }
    print_line(&format!("{database} is up to date"))?;
    Ok(ExitCode::SUCCESS)
}
