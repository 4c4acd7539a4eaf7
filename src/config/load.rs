//! The stages, in order: read, locate, resolve variables, typed, overrides, validate, frozen.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::database_url::DatabaseUrl;
use super::deployment::{self, Context};
use super::env::Env;
use super::env_refs::{self, FileEnv};
use super::error::{ConfigErrors, Location, Problem};
use super::model::Config;
use super::raw::{RawGeneral, RawLitellm, RawRouter, RawTrunkline};
use super::report::{Report, Source};
use super::validate::{self, Placed};
use super::yaml::{self, KeyPath, Node};
use super::{environment, general, section, settings};
use crate::cost::PriceBook;

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
        ConfigSource::Text { name, text } => load_text(Some(Source { name, text }), cli, env),
        ConfigSource::Path(path) => load_file(path, cli, env),
        ConfigSource::Environment => match env.var("CONFIG_FILE_PATH") {
            Some(path) => load_file(&PathBuf::from(path), cli, env),
            None => load_text(None, cli, env),
        },
    }
}

fn load_file(path: &Path, cli: &CliOverrides, env: &dyn Env) -> Result<Config, ConfigErrors> {
    let name = path.display().to_string();
    let refuse = |what: String, fix: &str| {
        let location = Some(Location {
            file: name.clone(),
            position: None,
        });
        ConfigErrors(vec![Problem {
            location,
            path: String::new(),
            what,
            fix: fix.to_owned(),
        }])
    };
    let bytes = fs::read(path).map_err(|err| {
        refuse(
            format!("the file cannot be read ({err})"),
            "check the path given by --config",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        refuse(
            format!("is not UTF-8 text (byte {at})"),
            "save the file as UTF-8",
        )
    })?;
    load_text(
        Some(Source {
            name: &name,
            text: &text,
        }),
        cli,
        env,
    )
}

fn load_text(
    source: Option<Source<'_>>,
    cli: &CliOverrides,
    env: &dyn Env,
) -> Result<Config, ConfigErrors> {
    let mut report = Report::new(source);
    let Some(written) = tree(source, &mut report) else {
        return Err(ConfigErrors(report.problems));
    };
    let env = FileEnv::new(&written, env);
    let mut root = written.clone();
    let mut missing = Vec::new();
    env_refs::resolve(&mut root, &KeyPath::default(), &env, &mut missing);

    unknown_sections(&root, &mut report);
    let general_raw: RawGeneral = of(&root, "general_settings", &mut report);
    let litellm: RawLitellm = of(&root, "litellm_settings", &mut report);
    let router: RawRouter = of(&root, "router_settings", &mut report);
    let own: RawTrunkline = of(&root, "trunkline", &mut report);

    let known_openai = |model: &str| PriceBook::built_in().knows("openai", model);
    let context = Context {
        env: &env,
        missing: &missing,
        known_openai: &known_openai,
    };
    let mut deployments = deployments(&root, &written, context, &mut report);

    let database_url = general::database_url(&general_raw, &missing, &env, &mut report);
    let server = settings::server(&own, database_url.as_ref(), cli, &env, &mut report);
    let database_url = database_url.unwrap_or_else(|| DatabaseUrl::default_in(&server.data_dir));
    let general = general::general(&general_raw, database_url, &missing, &env, &mut report);
    let router = settings::router(&router, &litellm, &env, &mut report);
    let litellm = settings::litellm(&litellm, &env, &mut report);

    validate::unique_ids(&mut deployments, &mut report);
    validate::fallback_targets(&root, &router, &deployments, &missing, &mut report);
    validate::something_is_left(&deployments, &mut report);
    validate::unset_variables(&missing, &mut report);
    if !report.problems.is_empty() {
        return Err(ConfigErrors(report.problems));
    }
    Ok(Config {
        deployments: deployments
            .into_iter()
            .map(|(_, deployment)| deployment)
            .collect(),
        general,
        router,
        litellm,
        server,
        warnings: report.notices,
    })
}

/// The parsed file, or an empty mapping without one. `None`: it cannot be read at all, and `report` says why.
fn tree(source: Option<Source<'_>>, report: &mut Report<'_>) -> Option<Node> {
    let Some(source) = source else {
        return Some(Node::Map(yaml::Mapping::default()));
    };
    match yaml::read(source.text) {
        Ok(read) => match read.root {
            root @ Node::Map(_) => {
                report.set_duplicates(read.duplicates);
                Some(root)
            }
            Node::Null => {
                report.problem_at(
                    None,
                    "the file is empty",
                    "write at least a model_list; see config/minimal.yaml",
                );
                None
            }
            other => {
                refuse_text(
                    source.text,
                    None,
                    &format!("expected `key: value` lines, found {}", other.describe()),
                    report,
                );
                None
            }
        },
        Err(err) => {
            let position = err.location().map(|at| (at.line(), at.column()));
            let text = err.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            refuse_text(
                source.text,
                position,
                &format!("this is not YAML: {what}"),
                report,
            );
            None
        }
    }
}

/// A text that is no mapping is often a block pasted together with the commands around it.
fn refuse_text(text: &str, position: Option<(usize, usize)>, what: &str, report: &mut Report<'_>) {
    const COMMANDS: &[&str] = &[
        "$ ",
        "pip ",
        "litellm ",
        "trunkline ",
        "docker ",
        "curl ",
        "export ",
        "python ",
        "import ",
        "from ",
        "client = ",
    ];
    let command = text
        .lines()
        .position(|line| COMMANDS.iter().any(|start| line.starts_with(start)));
    match command {
        Some(index) => {
            let what = format!(
                "line {} looks like a shell command or a program, not like YAML",
                index + 1
            );
            report.problem_at(
                Some((index + 1, 1)),
                what,
                "keep only the YAML part of what was pasted",
            );
        }
        None => report.problem_at(
            position,
            what,
            "check indentation, colons and quotes there and in the line above",
        ),
    }
}

fn of<T: DeserializeOwned + Default>(root: &Node, name: &str, report: &mut Report<'_>) -> T {
    match root.get(name) {
        Some(node) => section::read(node, &KeyPath::of(&[name]), report, section::note_ignored),
        None => T::default(),
    }
}

fn unknown_sections(root: &Node, report: &mut Report<'_>) {
    const READ: &[&str] = &[
        "model_list",
        "general_settings",
        "litellm_settings",
        "router_settings",
        "trunkline",
        "environment_variables",
    ];
    let Node::Map(map) = root else { return };
    // Keys that begin with `x-` are the YAML way to keep anchors somewhere.
    for entry in map
        .0
        .iter()
        .filter(|entry| !READ.contains(&entry.key.as_str()) && !entry.key.starts_with("x-"))
    {
        let path = KeyPath::of(&[&entry.key]);
        section::note_ignored(report, &path, &path);
    }
}

fn deployments(
    root: &Node,
    written: &Node,
    context: Context<'_>,
    report: &mut Report<'_>,
) -> Vec<Placed> {
    let path = KeyPath::of(&["model_list"]);
    match root.get("model_list") {
        None | Some(Node::Null) => environment::deployments(context.env, report)
            .into_iter()
            .map(|one| (path.clone(), one))
            .collect(),
        Some(Node::List(entries)) => {
            let mut placed = Vec::with_capacity(entries.len());
            for (index, entry) in entries.iter().enumerate() {
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
