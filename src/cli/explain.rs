//! `trunkline explain`: what a request cost and why, worked out again from what the books keep.

use std::process::ExitCode;

use actix_rt::System;
use clap::Args;
use serde_json::Value;

use super::ledger::{waiting_in_journal, with_books};
use super::{ConfigArgs, load_config, print_text};
use crate::config::{CliOverrides, ProcessEnv};
use crate::ledger::{Explanation, explain};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The row's id (`x-trunkline-request-id` of the answer, `id` of a stream's receipt), or the provider's id of the answer.
    id: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print it as JSON: an array, as ids of providers are not unique.
    #[arg(long)]
    json: bool,
}

/// Prints the explanation. The exit code is 0 where the books are right, 1 where they are not or know no such row.
pub(super) fn run(args: &ExplainArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let found = System::new().block_on(with_books(&config, async |store| {
        Ok(explain(&*store.audit, &args.id).await?)
    }))?;
    if found.is_empty() {
        let waiting = waiting_in_journal(&config, &args.id)?;
        print_text(&match (args.json, waiting) {
            (true, _) => "[]\n".to_owned(),
            (false, true) => format!(
                "{} is in the journal and not on the books yet: a running gateway ships it within a second, a stopped one at its next start\n",
                args.id
            ),
            (false, false) => format!(
                "{} is neither on the books nor in the journal here\n",
                args.id
            ),
        })?;
        return Ok(ExitCode::FAILURE);
    }
    if args.json {
        let all: Vec<Value> = found.iter().map(Explanation::to_json).collect();
        print_text(&format!("{:#}\n", Value::Array(all)))?;
    } else {
        let all: Vec<String> = found.iter().map(Explanation::to_string).collect();
        print_text(&all.join("\n"))?;
    }
    let agrees = found.iter().all(Explanation::agrees);
    Ok(if agrees {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
