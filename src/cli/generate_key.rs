//! `trunkline generate-key`: makes a key in the configured database. A gateway that runs on the same database accepts it
//! at once.

use actix_rt::System;
use clap::Args;
use trunkline_actors::clock::UnixMs;

use super::{ConfigArgs, load_config, print_line};
use crate::auth::{NewKey, terms};
use crate::config::{CliOverrides, ProcessEnv};
use crate::server::open_store;
use crate::storage::{ChangedBy, Terms};

#[derive(Debug, Args)]
pub(super) struct GenerateKeyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Whose key it is; made if unknown.
    #[arg(long = "user-id", visible_alias = "user_id")]
    user_id: String,
    /// A name for people; unique.
    #[arg(long = "key-alias", visible_alias = "key_alias")]
    key_alias: Option<String>,
    /// Models it may use, separated by commas; all when absent.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// The most it may spend, in USD.
    #[arg(long = "max-budget", visible_alias = "max_budget")]
    max_budget: Option<String>,
    /// Requests a minute.
    #[arg(long = "rpm-limit", visible_alias = "rpm_limit")]
    rpm_limit: Option<u64>,
    /// Tokens a minute.
    #[arg(long = "tpm-limit", visible_alias = "tpm_limit")]
    tpm_limit: Option<u64>,
    /// Tokens a day.
    #[arg(long = "tpd-limit", visible_alias = "tpd_limit")]
    tpd_limit: Option<u64>,
    /// Requests at the same time.
    #[arg(
        long = "max-parallel-requests",
        visible_alias = "max_parallel_requests"
    )]
    max_parallel_requests: Option<u64>,
    /// How long it works, such as 30d.
    #[arg(long)]
    duration: Option<String>,
}

// === impl GenerateKeyArgs ===

impl GenerateKeyArgs {
    /// A key without limits, as the tutorial's `--generate_key --user_id U` asks for.
    pub(super) fn for_user(config: ConfigArgs, user_id: String) -> Self {
        Self {
            config,
            user_id,
            key_alias: None,
            models: Vec::new(),
            max_budget: None,
            rpm_limit: None,
            tpm_limit: None,
            tpd_limit: None,
            max_parallel_requests: None,
            duration: None,
        }
    }
}

pub(super) fn run(args: &GenerateKeyArgs, env: ProcessEnv) -> Result<(), anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let max_budget = args.max_budget.as_deref();
    let limit =
        |field, limit: Option<u64>| limit.map(|limit| terms::limit(field, limit)).transpose();
    let made = NewKey {
        alias: args.key_alias.clone(),
        user_id: Some(args.user_id.clone()),
        models: args.models.clone(),
        terms: Terms {
            max_budget: max_budget
                .map(|text| terms::usd("max_budget", text))
                .transpose()?,
            rpm_limit: limit("rpm_limit", args.rpm_limit)?,
            tpm_limit: limit("tpm_limit", args.tpm_limit)?,
            tpd_limit: limit("tpd_limit", args.tpd_limit)?,
            max_parallel_requests: limit("max_parallel_requests", args.max_parallel_requests)?,
            ..Terms::default()
        },
        duration: args.duration.clone(),
        created_by: Some("generate-key".to_owned()),
        ..NewKey::default()
    }
    .make(UnixMs::now())?;
    System::new().block_on(async {
        let store = open_store(&config).await?;
        let by = ChangedBy::program("generate-key");
        store.changes.apply(by, made.writes()).await?;
        Ok::<(), anyhow::Error>(())
    })?;
    print_line(made.secret.expose())
}
