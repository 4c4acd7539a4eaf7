//! `trunkline check`: what a config file means, and what is wrong with it, without starting.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::print_text;
use crate::config::check::{check, problems};
use crate::config::diff::diff;
use crate::config::{CliOverrides, Config, ConfigErrors, ConfigSource, ProcessEnv, load};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The config file; without it the environment decides, as for `serve`.
    file: Option<PathBuf>,
    /// As FILE.
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Exit with 1 for warnings too, and for keys that have no effect.
    #[arg(long)]
    strict: bool,
    /// Say what changes in behaviour between two files instead.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["file", "config", "strict"])]
    diff: Option<Vec<PathBuf>>,
}

/// Prints the report. The exit code is 0 for fine, 1 for warnings with `--strict`, 2 for errors.
pub(super) fn run(args: &CheckArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    if let Some([old, new]) = args.diff.as_deref() {
        return compare(old, new, args.json, env);
    }
    let source = match args.file.as_deref().or(args.config.as_deref()) {
        Some(path) => ConfigSource::Path(path),
        None => ConfigSource::Environment,
    };
    let report = check(source, &env);
    if args.json {
        print_text(&format!("{:#}\n", report.to_json()))?;
    } else {
        print_text(&report.to_string())?;
    }
    Ok(ExitCode::from(report.verdict().exit_code(args.strict)))
}

fn compare(old: &Path, new: &Path, json: bool, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let load = |path: &Path| -> Result<Config, ConfigErrors> {
        load(ConfigSource::Path(path), &CliOverrides::default(), &env)
    };
    match (load(old), load(new)) {
        (Ok(old), Ok(new)) => {
            let difference = diff(&old, &new);
            if json {
                print_text(&format!("{:#}\n", difference.to_json()))?;
            } else {
                print_text(&difference.to_string())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        (old, new) => {
            for errors in [old.err(), new.err()].into_iter().flatten() {
                print_text(&problems(&errors.sorted().problems).to_string())?;
            }
            Ok(ExitCode::from(2))
        }
    }
}
