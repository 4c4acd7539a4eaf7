//! The command line: one file per command. LiteLLM's and the tutorial's spellings are accepted beside our own.

mod audit;
mod check;
mod config_schema;
mod explain;
mod generate_key;
mod healthcheck;
mod import_litellm;
mod ledger;
mod litellm_views;
mod migrate;
mod prices;
mod serve;

use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use log::LevelFilter;

use crate::config::check as check_report;
use crate::config::{CliOverrides, Config, ConfigErrors, ConfigSource, Env as _, ProcessEnv, load};
use crate::telemetry::logging::{self, Format, Guard};

/// An LLM gateway: one OpenAI-compatible endpoint in front of every provider.
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
    /// Make a virtual key, print it and exit (the tutorial's spelling of `generate-key`).
    #[arg(
        long = "generate_key",
        visible_alias = "generate-key",
        requires = "user_id"
    )]
    generate_key: bool,
    /// With `--generate_key`: whose key it is.
    #[arg(long = "user_id", visible_alias = "user-id")]
    user_id: Option<String>,
    /// Print the version.
    #[arg(short = 'v', long, short_alias = 'V', action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (what happens without a command).
    Serve(ServeArgs),
    /// Make a virtual key for a user, print it and exit.
    GenerateKey(generate_key::GenerateKeyArgs),
    /// Say what a config file means and what is wrong with it, without starting.
    Check(check::CheckArgs),
    /// About the format of config files.
    Config(config_schema::ConfigCommandArgs),
    /// About the built-in price list.
    Prices(prices::PricesArgs),
    /// Say what a request cost and why, from what the books keep.
    Explain(explain::ExplainArgs),
    /// Check the books, or correct them by other prices.
    Ledger(ledger::LedgerArgs),
    /// Check the log of who changed what.
    Audit(audit::AuditArgs),
    /// Copy keys, tenants, spend and models out of a LiteLLM database.
    ImportLitellm(import_litellm::ImportArgs),
    /// Make views with the names of LiteLLM's tables, for dashboards on PostgreSQL.
    LitellmViews(litellm_views::ViewsArgs),
    /// Bring the database's tables up to date and exit.
    Migrate(migrate::MigrateArgs),
    /// Ask a running gateway whether it is alive; for container health checks.
    Healthcheck(healthcheck::HealthcheckArgs),
}

#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// The config file; without it the environment decides (`CONFIG_FILE_PATH`, provider keys).
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on [env: HOST]; all interfaces with a master key, loopback without.
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on [env: PORT] [default: 4000].
    #[arg(short, long)]
    port: Option<u16>,
    /// HTTP workers (`NUM_WORKERS` in the environment) [default: one per core].
    #[arg(long = "num_workers", visible_alias = "num-workers", value_name = "N")]
    num_workers: Option<usize>,
}

/// Runs the command line; the exit code says how it went.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let env = ProcessEnv;
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Some(Command::Serve(args)) => serve::run(&args, env).map(done),
        Some(Command::Check(args)) => check::run(&args, env),
        Some(Command::Prices(args)) => prices::run(&args),
        Some(Command::Config(args)) => config_schema::run(&args).map(done),
        Some(Command::GenerateKey(args)) => generate_key::run(&args, env).map(done),
        Some(Command::Explain(args)) => explain::run(&args, env),
        Some(Command::Ledger(args)) => ledger::run(&args, env),
        Some(Command::Audit(args)) => audit::run(&args, env),
        Some(Command::ImportLitellm(args)) => import_litellm::run(&args, env),
        Some(Command::Migrate(args)) => migrate::run(&args, env),
        Some(Command::LitellmViews(args)) => litellm_views::run(&args, env).map(done),
        Some(Command::Healthcheck(args)) => healthcheck::run(&args, env).map(done),
        None if cli.generate_key => {
            let args = generate_key::GenerateKeyArgs::for_user(
                cli.serve.config,
                cli.user_id.unwrap_or_default(),
            );
            generate_key::run(&args, env).map(done)
        }
        None => serve::run(&cli.serve, env).map(done),
    };
    result.unwrap_or_else(|err| {
        let text = failure(&err);
        stderr().write_all(text.as_bytes()).ok();
        ExitCode::from(2)
    })
}

/// What is said of a failure: each problem of a configuration with its line, else the chain of causes.
fn failure(err: &anyhow::Error) -> String {
    if let Some(errors) = err.downcast_ref::<ConfigErrors>() {
        let problems = errors.clone().sorted().problems;
        return format!(
            "trunkline: the configuration cannot be used, nothing was started\n{}",
            check_report::problems(&problems)
        );
    }
    let mut text = format!("trunkline: {err}");
    for cause in err.chain().skip(1) {
        text.push_str("\n  because: ");
        text.push_str(&cause.to_string());
    }
    text.push('\n');
    text
}

fn load_config(
    args: &ConfigArgs,
    overrides: &CliOverrides,
    env: ProcessEnv,
) -> Result<Config, anyhow::Error> {
    Ok(read_config(args, overrides, env)?)
}

fn read_config(
    args: &ConfigArgs,
    overrides: &CliOverrides,
    env: ProcessEnv,
) -> Result<Config, ConfigErrors> {
    let source = match &args.config {
        Some(path) => ConfigSource::Path(path),
        None => ConfigSource::Environment,
    };
    load(source, overrides, &env)
}

fn start_logging(config: &Config, env: ProcessEnv) -> Result<Guard, anyhow::Error> {
    let level = config
        .general
        .log_level
        .parse()
        .unwrap_or(LevelFilter::Info);
    let json = env
        .var("JSON_LOGS")
        .is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false" | "False"));
    Ok(logging::install(level, Format::for_stderr(json))?)
}

/// Writes a line of result to standard output, where scripts read it.
fn print_line(line: &str) -> Result<(), anyhow::Error> {
    print_text(&format!("{line}\n"))
}

/// Writes a result of several lines.
fn print_text(text: &str) -> Result<(), anyhow::Error> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
