//! Configuration: from a YAML file, the command line and the environment to one frozen [`Config`].
//!
//! The stages, in [`load()`]: read, include, resolve `os.environ/NAME`, typed, command line and environment,
//! validate, frozen. All problems are reported at once, with file, line and key.

mod addresses;
mod budgets;
pub mod check;
mod connection;
mod cost_terms;
mod credentials;
mod database_url;
mod deployment;
pub mod diff;
mod entry;
pub mod env;
mod env_refs;
mod environment;
mod error;
mod excerpt;
#[cfg(test)]
mod fixture_tests;
mod general;
mod health;
mod include;
mod jwt;
mod jwt_issuers;
mod jwt_roles;
pub mod keys;
mod limits;
mod list_price;
mod load;
mod model;
mod planned;
mod price_list;
mod prices;
pub mod providers;
mod raw;
mod redis;
mod references;
mod report;
mod routing;
pub mod schema;
mod secret;
mod section;
mod settings;
mod sharing;
mod shown;
mod sign_in;
mod span;
mod suggest;
mod support;
mod targets;
#[cfg(test)]
mod tests;
mod transcripts;
mod tree;
mod users;
mod validate;
mod yaml;

pub use addresses::AddressList;
pub use database_url::{DatabaseUrl, DatabaseUrlError, PostgresUrl};
pub use entry::{Entries, NamedValues, Origin, ReadEntry, WrittenCredential};
pub use env::{Env, MapEnv, ProcessEnv};
pub use env_refs::{VARIABLE, variable};
pub use environment::DEMO_MODEL;
pub use error::{ConfigErrors, Location, Notice, NoticeKind, Problem};
pub use excerpt::{Excerpt, looks_secret, names_secret};
pub use health::{CheckBy, DeploymentChecks, HealthSettings};
pub use jwt::{ClaimNames, JwtSettings};
pub use jwt_issuers::{TokenIssuer, TokenRules};
pub use jwt_roles::{RolePermissions, ScopeMapping, TokenRole, TokenRoles};
pub use load::{CliOverrides, ConfigSource, load};
pub use model::{
    Budget, BudgetSettings, ByError, CacheSettings, ClientGone, Config, CountedTokens,
    DeploymentConfig, DrainBounds, Fsync, GeneralSettings, JournalSettings, LitellmSettings,
    LogExport, ModelInfo, PriceOverrides, QueueSettings, Receipts, RouterSettings, RoutingHint,
    RoutingStrategy, ServerSettings, TeamModel, Timeouts, TranscriptSettings, UserConfig, WhenFull,
};
pub use providers::{AuthScheme, Dialect, MaxTokensField, Provider, resolve_model};
pub use redis::{RedisNode, RedisPlace, RedisSettings, RedisTls};
pub use routing::StrategyArgs;
pub use secret::Secret;
pub use sharing::{Reserved, SharedBy, SharingSettings};
pub use shown::ShownSettings;
pub use sign_in::{NewUsers, SignInSettings, SsoProvider, USER_ROLES};
