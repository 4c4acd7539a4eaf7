//! `trunkline audit`: whether the log of who changed what is the one that was written.

use std::fmt::Write as _;
use std::process::ExitCode;

use actix_rt::System;
use clap::{Args, Subcommand};
use serde_json::json;

use super::ledger::with_books;
use super::{ConfigArgs, load_config, print_text};
use crate::config::{CliOverrides, ProcessEnv};
use crate::storage::{Chain, ChangeHead, ChangeLog};

/// Lines that are read at a time.
const PAGE: u32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Walk along the audit log and find what was changed, removed or put in; safe while a gateway runs.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Faults that are named.
    #[arg(long, default_value_t = 20, value_name = "N")]
    most: usize,
    /// A hash that was kept elsewhere: the line that has it must still be there.
    #[arg(long, value_name = "HASH")]
    holds: Option<String>,
}

/// What a walk found.
#[derive(Debug, Default)]
struct Found {
    lines: u64,
    head: ChangeHead,
    faults: Vec<String>,
    more: u64,
    /// The line that has the hash asked for.
    held_at: Option<u64>,
}

/// Runs the command; 1 where the log is not what was written.
pub(super) fn run(args: &AuditArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let AuditCommand::Verify(args) = &args.command;
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let mut found = System::new().block_on(with_books(&config, async |store| {
        walk(&*store.change_log, args.most, args.holds.as_deref()).await
    }))?;
    if let (Some(hash), None) = (&args.holds, found.held_at) {
        found.add(args.most, format!("no line has the hash {hash}"));
    }
    if args.json {
        let told = json!({
            "clean": found.is_clean(),
            "lines": found.lines,
            "hash": found.head.hash,
            "faults": found.faults,
            "more": found.more,
        });
        print_text(&format!("{told:#}\n"))?;
    } else {
        print_text(&found.text())?;
    }
    Ok(ExitCode::from(u8::from(!found.is_clean())))
}

async fn walk(
    log: &dyn ChangeLog,
    most: usize,
    holds: Option<&str>,
) -> Result<Found, anyhow::Error> {
    // Before the walk: what is added meanwhile lies behind it.
    let head = log.head().await?;
    let mut found = Found {
        head: head.clone(),
        ..Found::default()
    };
    let mut chain = Chain::default();
    loop {
        let lines = log.behind(chain.last(), PAGE).await?;
        if lines.is_empty() {
            break;
        }
        for line in &lines {
            found.lines += 1;
            if holds == Some(line.hash.as_str()) {
                found.held_at = Some(line.seq);
            }
            if let Some(fault) = chain.push(line) {
                found.add(most, fault);
            }
        }
    }
    if let Some(fault) = chain.check_head(&head) {
        found.add(most, fault);
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    fn add(&mut self, most: usize, fault: String) {
        if self.faults.len() < most {
            self.faults.push(fault);
        } else {
            self.more += 1;
        }
    }

    fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.more == 0
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for fault in &self.faults {
            // Writing to a string cannot fail.
            writeln!(text, "  {fault}").ok();
        }
        if self.more > 0 {
            writeln!(text, "  and {} more", self.more).ok();
        }
        let (lines, hash) = (self.lines, &self.head.hash);
        let end = if self.is_clean() {
            format!("OK: {lines} lines as they were written; the last hash is {hash}")
        } else {
            format!("DIFFERENT: the audit log of {lines} lines is not what was written")
        };
        writeln!(text, "{end}").ok();
        text
    }
}
