//! Configuration: from a YAML file, the command line and the environment to one frozen [`Config`].
//!
//! The stages, in [`load`]: read and locate, resolve `os.environ/NAME`, typed, command line and environment,
//! validate, frozen. All problems are reported at once, with file, line and key.

mod connection;
mod database_url;
mod deployment;
pub mod env;
mod env_refs;
mod environment;
mod error;
mod general;
mod load;
mod model;
mod prices;
pub mod providers;
mod raw;
mod report;
mod secret;
mod section;
mod settings;
mod support;
mod targets;
#[cfg(test)]
mod tests;
mod validate;
mod yaml;

pub use database_url::{DatabaseUrl, DatabaseUrlError, PostgresUrl};
pub use env::{Env, MapEnv, ProcessEnv};
pub use environment::DEMO_MODEL;
pub use error::{ConfigErrors, Location, Notice, NoticeKind, Problem};
pub use load::{CliOverrides, ConfigSource, load};
pub use model::{
    Config, DeploymentConfig, GeneralSettings, LitellmSettings, ModelInfo, PriceOverrides,
    RouterSettings, ServerSettings, Timeouts,
};
pub use providers::{AuthScheme, Dialect, MaxTokensField, Provider, resolve_model};
pub use secret::Secret;
