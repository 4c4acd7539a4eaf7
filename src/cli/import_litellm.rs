//! `trunkline import-litellm`: copies keys, tenants, what they have spent and models out of a LiteLLM database.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use actix_rt::System;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use trunkline_actors::clock::UnixMs;

use super::ledger::{books, closing};
use super::{ConfigArgs, load_config, print_text};
use crate::auth::BudgetRules;
use crate::config::{
    CliOverrides, DatabaseUrl, Env as _, PostgresUrl, ProcessEnv, Secret, variable,
};
use crate::import::{
    EntryTarget, Import, KindReport, ModelFiles, Report, Tally, run as run_import,
};
use crate::server::open_store;
use crate::storage::read_litellm;

/// Readable and writable by its owner alone.
const PRIVATE: u32 = 0o600;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// LiteLLM's database, `postgresql://…`, or `os.environ/NAME` for a variable that holds it.
    #[arg(long, value_name = "URL", value_parser = secret)]
    from: Secret,
    /// LiteLLM's salt key, or `os.environ/NAME` [env: `LITELLM_SALT_KEY`] [default: the master key].
    #[arg(long = "salt-key", value_name = "KEY", value_parser = secret)]
    salt_key: Option<Secret>,
    /// Write the models and credentials of the database here, as a piece of a config file without secrets, and store none.
    #[arg(long = "models-to", value_name = "FILE")]
    models_to: Option<PathBuf>,
    /// Write the secrets that this piece wants here, as variables; readable by you alone.
    #[arg(long = "secrets-to", value_name = "FILE", requires = "models_to")]
    secrets_to: Option<PathBuf>,
    /// Overwrite what was changed here, and files that are there.
    #[arg(long)]
    overwrite: bool,
    /// Say what would be taken and write nothing.
    #[arg(long = "dry-run")]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; exits with 1 where a row was not taken.
pub(super) fn run(args: &ImportArgs, env: ProcessEnv) -> Result<ExitCode, anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let from = source(&named(&args.from, env)?)?;
    let salt = match &args.salt_key {
        Some(key) => Some(named(key, env)?),
        None => config.general.salt_key.clone(),
    };
    // Those who ask for a file mean to serve what a file says.
    let is_stored = config.general.store_model_in_db && args.models_to.is_none();
    let own_salt = config.general.salt_key.as_ref().filter(|_| is_stored);
    let entries = own_salt.map(|salt| EntryTarget {
        entries: &config.entries,
        salt,
    });
    let (report, files) = System::new().block_on(async {
        // A dry run makes no database and brings none up to date.
        let target = if args.dry_run {
            books(&config).await?
        } else {
            Some(open_store(&config).await?)
        };
        let import = async {
            let mut reader = read_litellm(from.expose(), from.shown()).await?;
            let import = Import {
                target: target.as_ref(),
                rules: &BudgetRules::of(&config.budgets),
                salt: salt.as_ref(),
                entries,
                overwrite: args.overwrite,
                dry_run: args.dry_run,
                now: UnixMs::now(),
            };
            Ok(run_import(&import, &mut reader).await?)
        };
        match &target {
            Some(store) => closing(store, import).await,
            None => import.await,
        }
    })?;
    if report.kinds.values().all(|kind| kind.absent) {
        bail!(
            "{} has no tables of LiteLLM: name the right database, or its schema with ?schema=NAME",
            from.shown()
        );
    }
    let written = if args.dry_run {
        Vec::new()
    } else {
        write_files(args, &files)?
    };
    if args.json {
        let mut whole = report.to_json();
        if let Some(whole) = whole.as_object_mut() {
            let variables: Vec<&String> = files.variables.keys().collect();
            for (name, value) in [
                ("from", json!(from.shown())),
                ("to", json!(config.general.database_url.to_string())),
                ("dry_run", json!(args.dry_run)),
                ("files", json!(written)),
                ("variables", json!(variables)),
            ] {
                whole.insert(name.to_owned(), value);
            }
        }
        print_text(&format!("{whole:#}\n"))?;
    } else {
        let target = config.general.database_url.to_string();
        let mut text = report_text(&report, args.dry_run);
        let end = files_text(args, &files, &written);
        write!(text, "{end}from {} to {target}", from.shown()).ok();
        print_text(&format!("{text}\n"))?;
    }
    Ok(ExitCode::from(u8::from(!report.is_whole())))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of clap's parsers")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// The value itself, or that of the variable it names.
fn named(value: &Secret, env: ProcessEnv) -> Result<Secret, anyhow::Error> {
    let Some(name) = variable(value.expose()) else {
        return Ok(value.clone());
    };
    let found = env
        .var(name)
        .with_context(|| format!("environment variable {name} is not set"))?;
    Ok(Secret::new(found))
}

fn source(url: &Secret) -> Result<PostgresUrl, anyhow::Error> {
    match url.expose().parse::<DatabaseUrl>() {
        Ok(DatabaseUrl::Postgres(url)) => Ok(url),
        Ok(DatabaseUrl::Sqlite(_)) => {
            bail!("--from: LiteLLM's database is PostgreSQL: write postgresql://…")
        }
        Err(err) => Err(err).context("--from cannot be used"),
    }
}

/// Writes what was asked for, and answers with the files that changed.
fn write_files(args: &ImportArgs, files: &ModelFiles) -> Result<Vec<String>, anyhow::Error> {
    let mut written = Vec::new();
    let Some(config) = &files.config else {
        return Ok(written);
    };
    let environment = files.environment();
    for (path, text) in [
        (&args.models_to, config.as_str()),
        (&args.secrets_to, environment.as_str()),
    ] {
        if let Some(path) = path
            && write_private(path, text, args.overwrite)?
        {
            written.push(path.display().to_string());
        }
    }
    Ok(written)
}

/// Writes a file that its owner alone can read. False: it says so already.
fn write_private(path: &Path, text: &str, overwrite: bool) -> Result<bool, anyhow::Error> {
    let name = path.display();
    if path.exists() {
        let there = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
        if there == text {
            return Ok(false);
        }
        if !overwrite {
            bail!("{name} is there and says something else: name another file, or say --overwrite");
        }
        fs::set_permissions(path, Permissions::from_mode(PRIVATE))
            .with_context(|| format!("{name} cannot be made private"))?;
    }
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE);
    let mut file = options
        .open(path)
        .with_context(|| format!("{name} cannot be written"))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("{name} cannot be written"))?;
    Ok(true)
}

fn report_text(report: &Report, dry_run: bool) -> String {
    let mut text = String::new();
    for kind in report.kinds.values() {
        kind_text(&mut text, kind);
    }
    let end = match (report.changed(), dry_run) {
        (true, true) => "this was a dry run: nothing was written",
        (false, true) => "nothing would change",
        (true, false) => "taken",
        (false, false) => "nothing changed",
    };
    writeln!(text, "{end}").ok();
    text
}

/// A line a kind, and one for each reason.
fn kind_text(text: &mut String, kind: &KindReport) {
    let name = kind.table.name();
    // Writing to a string cannot fail.
    if kind.absent {
        writeln!(text, "{name}: no table {}", kind.table.table()).ok();
        return;
    }
    let sum = |rows: u64, what: &str| (rows > 0).then(|| format!("{rows} {what}"));
    let kept = kind.kept.values().map(|tally| tally.rows).sum();
    let not_taken = kind.not_taken.values().map(|tally| tally.rows).sum();
    let left_out = kind.left_out.values().map(|tally| tally.rows).sum();
    let parts = [
        sum(
            kind.new,
            if kind.is_for_a_file {
                "for a config file"
            } else {
                "new"
            },
        ),
        sum(kind.updated, "updated"),
        sum(kind.unchanged, "unchanged"),
        sum(kept, "kept as they are here"),
        sum(not_taken, "not taken"),
        sum(left_out, "left out"),
        (!kind.spent.is_zero()).then(|| format!("{} USD spent there", kind.spent)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let parts = if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    };
    writeln!(text, "{name}: {} found{parts}", kind.found).ok();
    for (reason, tally) in &kind.kept {
        writeln!(text, "  kept: {reason}: {}", shown(tally)).ok();
    }
    for (what, tallies) in [
        ("not taken: ", &kind.not_taken),
        ("left out: ", &kind.left_out),
        ("", &kind.remarks),
    ] {
        for (reason, tally) in tallies {
            writeln!(text, "  {what}{reason}: {}", shown(tally)).ok();
        }
    }
    if !kind.missing.is_empty() && kind.found > 0 {
        let missing = kind.missing.join(", ");
        writeln!(text, "  not in this version of LiteLLM: {missing}").ok();
    }
}

fn shown(tally: &Tally) -> String {
    let more = if tally.rows > u64::try_from(tally.examples.len()).unwrap_or(u64::MAX) {
        ", …"
    } else {
        ""
    };
    format!("{} ({}{more})", tally.rows, tally.examples.join(", "))
}

fn files_text(args: &ImportArgs, files: &ModelFiles, written: &[String]) -> String {
    let mut text = String::new();
    for path in written {
        writeln!(text, "wrote {path}").ok();
    }
    if files.config.is_some() && args.models_to.is_none() {
        writeln!(
            text,
            "models and credentials become a piece of a config file: say where with --models-to, or set general_settings.store_model_in_db to have them stored"
        )
        .ok();
    }
    if !files.variables.is_empty() && args.secrets_to.is_none() {
        let names: Vec<&str> = files.variables.keys().map(String::as_str).collect();
        writeln!(
            text,
            "that piece wants these variables (--secrets-to writes them): {}",
            names.join(", ")
        )
        .ok();
    }
    text
}
