//! Whole files: what they load to, and word for word what is said about bad ones.

mod dialect;
mod endurance;
mod files;
mod include;
mod refusals;
mod sign_in;
mod tutorial;

use super::{CliOverrides, Config, ConfigErrors, ConfigSource, MapEnv, NoticeKind, load};

const ONE: &str = "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n";

fn env() -> MapEnv {
    MapEnv::new([
        ("OPENAI_API_KEY", "sk-openai"),
        ("OPENAI_API_KEY_1", "sk-openai-1"),
        ("OPENAI_API_KEY_2", "sk-openai-2"),
        ("OPENAI_API_KEY_3", "sk-openai-3"),
        ("ANTHROPIC_API_KEY", "sk-ant"),
        ("GROQ_API_KEY", "gsk-groq"),
    ])
}

fn with(text: &str, env: &MapEnv) -> Result<Config, ConfigErrors> {
    let source = ConfigSource::Text {
        name: "config.yaml",
        text,
    };
    load(source, &CliOverrides::default(), env)
}

fn loaded(text: &str) -> Config {
    loaded_with(text, &env())
}

fn loaded_with(text: &str, env: &MapEnv) -> Config {
    with(text, env).unwrap_or_else(|err| panic!("{err}"))
}

fn refused(text: &str) -> String {
    with(text, &env()).expect_err("loads").to_string()
}

/// The paths of the notices of one kind.
fn paths(config: &Config, kind: NoticeKind) -> Vec<&str> {
    let notices = config.warnings.iter().filter(|notice| notice.kind == kind);
    notices.map(|notice| notice.path.as_str()).collect()
}

fn said(config: &Config, kind: NoticeKind) -> Vec<String> {
    let notices = config.warnings.iter().filter(|notice| notice.kind == kind);
    notices.map(ToString::to_string).collect()
}

fn groups(config: &Config) -> Vec<&str> {
    let deployments = config.deployments.iter();
    deployments.map(|one| one.model_name.as_str()).collect()
}
