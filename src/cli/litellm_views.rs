//! `trunkline litellm-views`: LiteLLM's tables as views over ours, for dashboards that were made for them.

use std::fmt::Write as _;

use actix_rt::System;
use anyhow::bail;
use clap::Args;

use super::ledger::with_books;
use super::{ConfigArgs, load_config, print_text};
use crate::config::{CliOverrides, DatabaseUrl, ProcessEnv};
use crate::server::pool_settings;
use crate::storage::litellm_views;

#[derive(Debug, Args)]
pub(super) struct ViewsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The schema that they go to; made if it is not there.
    #[arg(long, value_name = "NAME")]
    schema: String,
    /// Remove them; an empty schema stays.
    #[arg(long)]
    drop: bool,
}

pub(super) fn run(args: &ViewsArgs, env: ProcessEnv) -> Result<(), anyhow::Error> {
    let config = load_config(&args.config, &CliOverrides::default(), env)?;
    let DatabaseUrl::Postgres(url) = &config.general.database_url else {
        bail!(
            "the books are in SQLite: views are for dashboards on PostgreSQL, so set database_url"
        );
    };
    if args.schema == "trunkline" {
        bail!("the schema trunkline holds the books: name another one");
    }
    let views = System::new().block_on(async {
        // Views stand on tables that are up to date.
        with_books(&config, async |_| Ok(())).await?;
        let views = litellm_views(
            url.expose(),
            url.shown(),
            pool_settings(&config),
            args.schema.clone(),
            args.drop,
        );
        Ok::<_, anyhow::Error>(views.await?)
    })?;
    let what = if args.drop { "dropped" } else { "made" };
    let mut text = String::new();
    for name in &views {
        // Writing to a string cannot fail.
        writeln!(text, "{what} {}.\"{name}\"", args.schema).ok();
    }
    if views.is_empty() {
        text.push_str("nothing to drop\n");
    }
    print_text(&text)
}
