//! `trunkline ledger`: whether the books agree with themselves, and what other prices make of them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use actix_rt::System;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use trunkline_actors::clock::UnixMs;

use super::{ConfigArgs, load_config, print_text};
use crate::config::{CliOverrides, Config, ProcessEnv};
use crate::cost::read_book;
use crate::journal::inspect;
use crate::ledger::{Plan, Report, Repriced, reprice, verify};
use crate::server::{open_store, schema_version};
use crate::storage::Store;

#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Compare journal, rows, costs, roll-ups and balances; safe while a gateway runs.
    Verify(VerifyArgs),
    /// Write adjustment rows for what other prices make of rows.
    Reprice(RepriceArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Differences of a kind that are named.
    #[arg(long, default_value_t = 20, value_name = "N")]
    most: usize,
}

#[derive(Debug, Args)]
struct RepriceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Rows received on or after this day (`2026-11-01`, in UTC) or time (`2026-11-01T12:00:00Z`).
    #[arg(long, value_name = "DATE", value_parser = moment)]
    since: UnixMs,
    /// Rows received before this day or time [default: now].
    #[arg(long, value_name = "DATE", value_parser = moment)]
    until: Option<UnixMs>,
    /// The prices: a list like `config/model_prices.json`, or a LiteLLM price map.
    #[arg(long, value_name = "FILE")]
    prices: PathBuf,
    /// Say what would change and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the sums as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command. `verify` exits with 1 where something differs.
pub(super) fn run(args: &LedgerArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    match &args.command {
        LedgerCommand::Verify(args) => run_verify(args, env),
        LedgerCommand::Reprice(args) => run_reprice(args, env),
    }
}

/// Does something with books that are there and up to date: who only looks at them must not make or change them.
pub(super) async fn with_books<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Store) -> Result<T, anyhow::Error>,
) -> Result<T, anyhow::Error> {
    let Some(store) = books(config).await? else {
        let database = &config.general.database_url;
        bail!("{database} has no books: no gateway has used it yet");
    };
    closing(&store, work(&store)).await
}

/// The books; `None` where there are none yet.
pub(super) async fn books(config: &Config) -> Result<Option<Store>, anyhow::Error> {
    let version = schema_version(config).await?;
    match version.found {
        Some(found) if found == version.known => Ok(Some(open_store(config).await?)),
        Some(found) => bail!(
            "{} has schema {found}, this binary knows {}: use the binary that serves, or `trunkline migrate`",
            config.general.database_url,
            version.known
        ),
        None => Ok(None),
    }
}

/// Closes the store whatever becomes of the work. What went wrong first is what is said.
pub(super) async fn closing<T>(
    store: &Store,
    work: impl Future<Output = Result<T, anyhow::Error>>,
) -> Result<T, anyhow::Error> {
    let done = work.await;
    let closed = store.lifecycle.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

/// Whether the journal has a settled request with that id, ours or the provider's.
pub(super) fn waiting_in_journal(config: &Config, name: &str) -> Result<bool, anyhow::Error> {
    let mut waits = false;
    inspect(&config.server.data_dir, |record| {
        waits |= record.id.to_string().eq_ignore_ascii_case(name)
            || record.provider_request_id.as_deref() == Some(name);
    })
    .context("the journal cannot be read")?;
    Ok(waits)
}

fn run_verify(args: &VerifyArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let report = System::new().block_on(with_books(&config, async |store| {
        Ok(verify(&*store.audit, &config.server.data_dir, args.most).await?)
    }))?;
    if args.json {
        print_text(&format!("{:#}\n", report_json(&report)))?;
    } else {
        print_text(&report_text(&report))?;
    }
    Ok(ExitCode::from(u8::from(!report.is_clean())))
}

/// `{"clean", "checks": [{"name", "clean", "counts": {…}, "differences": […], "more"}]}`.
fn report_json(report: &Report) -> Value {
    let checks: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            let counts: serde_json::Map<String, Value> = check
                .counts
                .iter()
                .map(|(what, count)| ((*what).to_owned(), Value::from(*count)))
                .collect();
            json!({
                "name": check.name,
                "clean": check.is_clean(),
                "counts": counts,
                "differences": check.differences,
                "more": check.more,
            })
        })
        .collect();
    json!({"clean": report.is_clean(), "checks": checks})
}

/// A line a check: what was counted, and whether it agrees.
fn report_text(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        // What is first says how much was compared; of the rest, what there is none of says nothing.
        let counts: Vec<String> = check
            .counts
            .iter()
            .enumerate()
            .filter(|(at, (_, count))| *at == 0 || *count > 0)
            .map(|(_, (what, count))| format!("{count} {what}"))
            .collect();
        let verdict = if check.is_clean() { "OK" } else { "DIFFERENT" };
        // Writing to a string cannot fail.
        writeln!(text, "{}: {}: {verdict}", check.name, counts.join(", ")).ok();
        for difference in &check.differences {
            writeln!(text, "  {difference}").ok();
        }
        if check.more > 0 {
            writeln!(text, "  and more ({} at least)", check.more).ok();
        }
    }
    let end = if report.is_clean() {
        "OK: the books agree"
    } else {
        "DIFFERENT: the books do not agree"
    };
    writeln!(text, "{end}").ok();
    text
}

fn run_reprice(args: &RepriceArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let name = args.prices.display();
    let text =
        fs::read_to_string(&args.prices).with_context(|| format!("{name} cannot be read"))?;
    let book = read_book(&text).with_context(|| format!("{name} cannot be used"))?;
    // A price map has no version of its own.
    let version = match book.version() {
        "" | "+map" => {
            let digest = hex::encode(Sha256::digest(text.as_bytes()));
            format!("map+{}", digest.get(..8).unwrap_or_default())
        }
        version => version.to_owned(),
    };
    let plan = Plan {
        since: args.since,
        until: args.until.unwrap_or_else(UnixMs::now),
        book: &book,
        version: &version,
        dry_run: args.dry_run,
    };
    let done = System::new().block_on(with_books(&config, async |store| {
        Ok(reprice(&*store.audit, &*store.ledger, &plan).await?)
    }))?;
    if args.json {
        let sums = repriced_json(&done, &version, args.dry_run);
        print_text(&format!("{sums:#}\n"))?;
    } else {
        print_text(&repriced_text(&done, &version, args.dry_run))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `{"version", "dry_run", "rows", "without_price", "models": [{"provider", "model", "adjusted", "were_unknown", "before",
/// "after", "difference"}]}`; amounts are decimal texts in USD.
fn repriced_json(done: &Repriced, version: &str, dry_run: bool) -> Value {
    let models: Vec<Value> = done
        .models
        .iter()
        .map(|((provider, model), change)| {
            json!({
                "provider": provider,
                "model": model,
                "adjusted": change.adjusted,
                "were_unknown": change.were_unknown,
                "before": change.before.to_string(),
                "after": change.after.to_string(),
                "difference": (change.after - change.before).to_string(),
            })
        })
        .collect();
    json!({
        "version": version,
        "dry_run": dry_run,
        "rows": done.rows,
        "without_price": done.without_price,
        "models": models,
    })
}

fn repriced_text(done: &Repriced, version: &str, dry_run: bool) -> String {
    let mut text = String::new();
    for ((provider, model), change) in &done.models {
        let difference = change.after - change.before;
        let sign = if difference.as_decimal().is_sign_negative() {
            ""
        } else {
            "+"
        };
        write!(
            text,
            "{provider}/{model}: {} rows, {} → {} USD ({sign}{difference})",
            change.adjusted, change.before, change.after
        )
        .ok();
        if change.were_unknown > 0 {
            write!(text, ", {} of them unknown until now", change.were_unknown).ok();
        }
        text.push('\n');
    }
    let adjusted: u64 = done.models.values().map(|change| change.adjusted).sum();
    let what = if dry_run {
        "would be adjusted"
    } else {
        "adjusted"
    };
    writeln!(
        text,
        "{adjusted} of {} rows {what} to list {version}; {} have no price there",
        done.rows, done.without_price
    )
    .ok();
    text
}

/// A day, from its beginning in UTC, or a moment.
fn moment(text: &str) -> Result<UnixMs, String> {
    let day = || {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse::<Timestamp>()
        .ok()
        .or_else(day)
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .map(UnixMs)
        .ok_or_else(|| "write a day as 2026-11-01, or a time as 2026-11-01T12:00:00Z".to_owned())
}
