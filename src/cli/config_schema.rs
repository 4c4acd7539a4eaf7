//! `trunkline config schema`: a JSON Schema of the config file, for editors.

use clap::{Args, Subcommand};

use super::print_text;
use crate::config::schema;

#[derive(Debug, Args)]
pub(super) struct ConfigCommandArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the config file.
    Schema,
}

pub(super) fn run(args: &ConfigCommandArgs) -> Result<(), anyhow::Error> {
    match args.command {
        ConfigCommand::Schema => print_text(&schema::text()),
    }
}
