//! The stages, in order: read, include, fill in credentials, resolve variables, typed, overrides, validate, frozen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::database_url::DatabaseUrl;
use super::deployment::{self, Context};
use super::entry::Entries;
use super::env::Env;
use super::env_refs::{self, FileEnv};
use super::error::{ConfigErrors, NoticeKind, Problem};
use super::model::Config;
use super::raw::{ModelRef, RawGeneral, RawLitellm, RawRouter, RawTrunkline};
use super::references::Elsewhere;
use super::report::{Report, Source};
use super::shown::ShownSettings;
use super::support::{self, Within};
use super::validate::{self, Placed};
use super::yaml::{self, KeyPath, Node};
use super::{
    budgets, cost_terms, credentials, environment, general, health, include, jwt, limits, planned,
    price_list, redis, references, section, settings, sharing, sign_in, transcripts, tree, users,
};

/// No gateway serves so many deployments; checks between entries stay quick.
const MOST_ENTRIES: usize = 10_000;

/// Where the configuration comes from.
#[derive(Debug, Clone, Copy)]
pub enum ConfigSource<'a> {
    /// The file that `CONFIG_FILE_PATH` names, else the environment alone.
    Environment,
    /// This file.
    Path(&'a Path),
    /// This text; `name` stands for the file in messages.
    Text {
        /// Shown in messages.
        name: &'a str,
        /// YAML.
        text: &'a str,
    },
}

/// Values from the command line; they win over everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CliOverrides {
    /// `--host`.
    pub host: Option<String>,
    /// `--port`.
    pub port: Option<u16>,
    /// `--num_workers`.
    pub workers: Option<usize>,
}

/// Loads, checks and freezes a configuration.
///
/// # Errors
/// Everything that is wrong, each with file, line, column, key and what to write instead.
pub fn load(
    source: ConfigSource<'_>,
    cli: &CliOverrides,
    env: &dyn Env,
) -> Result<Config, ConfigErrors> {
    match source {
        ConfigSource::Text { name, text } => load_text(Some(Source { name, text }), None, cli, env),
        ConfigSource::Path(path) => load_file(path, cli, env),
        ConfigSource::Environment => match env.var("CONFIG_FILE_PATH") {
            Some(path) => load_file(&PathBuf::from(path), cli, env),
            None => load_text(None, None, cli, env),
        },
    }
}

fn load_file(path: &Path, cli: &CliOverrides, env: &dyn Env) -> Result<Config, ConfigErrors> {
    let name = path.display().to_string();
    let text = include::read_text(path, "check the path given by --config")
        .map_err(|(what, fix)| ConfigErrors::from(Problem::of_file(&name, what, fix)))?;
    let source = Source {
        name: &name,
        text: &text,
    };
    load_text(Some(source), Some(path), cli, env)
}

/// `file` is where the text stands, if it stands in a file.
fn load_text(
    source: Option<Source<'_>>,
    file: Option<&Path>,
    cli: &CliOverrides,
    env: &dyn Env,
) -> Result<Config, ConfigErrors> {
    let mut report = Report::new(source);
    let Some(mut written) = tree(source, &mut report) else {
        return Err(report.into_errors());
    };
    include::include(&mut written, file, env, &mut report);
    let env = FileEnv::new(&written, env, &mut report);
    let mut root = written.clone();
    let stored = general::stores_entries(&written, &env);
    let waiting = credentials::apply(&mut root, &env, stored, &mut report);
    let mut missing = Vec::new();
    env_refs::resolve(&mut root, &KeyPath::default(), &env, &mut missing);

    support::check(&root, &KeyPath::default(), Within::Live, &mut report);
    let general_raw: RawGeneral = of(&root, "general_settings", &mut report);
    let litellm: RawLitellm = of(&root, "litellm_settings", &mut report);
    let router: RawRouter = of(&root, "router_settings", &mut report);
    let own: RawTrunkline = of(&root, "trunkline", &mut report);

    let price_book = Arc::new(price_list::book(&root, &own, file, &mut report));
    let known_openai = |model: &str| price_book.knows("openai", model);
    let context = Context {
        env: &env,
        missing: &missing,
        known_openai: &known_openai,
    };
    let mut deployments = deployments(&root, &written, &waiting, context, &mut report);

    let database_url = general::database_url(&general_raw, &missing, &env, &mut report);
    let server = settings::server(
        &own,
        &general_raw,
        database_url.as_ref(),
        cli,
        &env,
        &mut report,
    );
    let database_url = database_url.unwrap_or_else(|| DatabaseUrl::default_in(&server.data_dir));
    let general = general::general(&general_raw, database_url, &missing, &env, &mut report);
    let mapping: BTreeMap<String, Vec<ModelRef>> = of(&root, "fallback_mapping", &mut report);
    let health = health::health(&general_raw, &router, &own, &deployments, &mut report);
    let transcripts =
        transcripts::transcripts(&own.transcripts, &general_raw, &litellm, &env, &mut report);
    let jwt = jwt::jwt(&general_raw, &env, &mut report);
    let sign_in = sign_in::sign_in(&litellm, &env, &mut report);
    let redis = redis::redis(&root, &general_raw, &router, &own, &env, &mut report);
    let cache = planned::cache(&root, &litellm, &mut report);
    let log_exports = planned::log_exports(&root, &mut report);
    let users = users::users(&root, &mut report);
    let router = settings::router(&router, &litellm, &mapping, &env, &mut report);
    let budgets = budgets::budgets(&litellm, &general_raw, &mut report);
    let litellm = settings::litellm(&litellm, &env, &mut report);
    let sharing = sharing::sharing(&root, &mut report);

    validate::unique_ids(&mut deployments, &mut report);
    let elsewhere = Elsewhere {
        missing: &missing,
        stored: general.store_model_in_db,
    };
    references::check(&root, &router, &deployments, elsewhere, &mut report);
    cost_terms::apply(&root, &mut deployments, &mut report);
    limits::check(&root, &deployments, &price_book, &mut report);
    if !general.store_model_in_db {
        validate::something_is_left(&deployments, &mut report);
    }
    validate::unset_variables(&missing, &mut report);
    support::say(&mut report);
    if !report.problems.is_empty() {
        return Err(report.into_errors());
    }
    Ok(Config {
        deployments: deployments
            .into_iter()
            .map(|(_, deployment)| deployment)
            .collect(),
        general,
        router,
        litellm,
        sharing,
        server,
        budgets,
        users,
        redis,
        jwt,
        sign_in,
        cache,
        transcripts,
        health,
        log_exports,
        waiting: waiting
            .iter()
            .filter_map(|index| credentials::waiting_entry(*index, &written, &root))
            .collect(),
        shown: ShownSettings::new(&root, &written, &env),
        entries: Entries::new(&written, Arc::clone(&price_book)),
        price_book,
        warnings: report.notices,
    })
}

/// The parsed file, or an empty mapping without one. `None`: it cannot be read at all, and `report` says why.
fn tree(source: Option<Source<'_>>, report: &mut Report<'_>) -> Option<Node> {
    let Some(source) = source else {
        return Some(Node::Map(yaml::Mapping::default()));
    };
    match tree::parse(source.text) {
        Ok(parsed) => {
            report.set_duplicates(parsed.duplicates);
            for surprise in parsed.surprises {
                report.notice(NoticeKind::Adjusted, &surprise.path, surprise.to_string());
            }
            Some(parsed.root)
        }
        Err(fault) => {
            report.problem_at(fault.position, fault.what, &fault.fix);
            None
        }
    }
}

fn of<T: DeserializeOwned + Default>(root: &Node, name: &str, report: &mut Report<'_>) -> T {
    match root.get(name) {
        Some(node) => section::read(node, &KeyPath::of(&[name]), report),
        None => T::default(),
    }
}

fn deployments(
    root: &Node,
    written: &Node,
    waiting: &[usize],
    context: Context<'_>,
    report: &mut Report<'_>,
) -> Vec<Placed> {
    let path = KeyPath::of(&["model_list"]);
    match root.get("model_list") {
        None | Some(Node::Null) => environment::deployments(context.env, report)
            .into_iter()
            .map(|one| (path.clone(), one))
            .collect(),
        Some(Node::List(entries)) if entries.len() > MOST_ENTRIES => {
            let what = format!("has {} entries", entries.len());
            report.problem(&path, what, format!("write at most {MOST_ENTRIES}"));
            Vec::new()
        }
        Some(Node::List(entries)) => {
            let mut placed = Vec::with_capacity(entries.len());
            let entries = entries.iter().enumerate();
            for (index, entry) in entries.filter(|(index, _)| !waiting.contains(index)) {
                let path = path.index(index);
                let as_written = written.at(&path).unwrap_or(&Node::Null);
                let found = deployment::read(entry, as_written, &path, context, report);
                placed.extend(found.into_iter().map(|one| (path.clone(), one)));
            }
            placed
        }
        Some(other) => {
            let what = format!("expected a list, found {}", other.describe());
            report.problem(
                &path,
                what,
                "write one `- model_name: …` entry for each deployment",
            );
            Vec::new()
        }
    }
}
