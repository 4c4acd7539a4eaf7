//! From the configuration to the parts of a process.

use std::sync::Arc;
use std::thread::available_parallelism;

use actix_rt::Arbiter;
use actix_rt::task::spawn_blocking;
use actix_web::http::header::HeaderName;
use anyhow::{Context as _, ensure};
use trunkline_actors::admission::{Queue, QueueSettings};
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::ids::{RequestId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{CooldownExchange, NoReplicas};
use trunkline_actors::rate_limiter::{LimiterHandle, Limits};
use trunkline_actors::spend_ledger::LedgerHandle;
use trunkline_actors::supervisor::{self, SupervisorHandle, SupervisorSettings};

use crate::auth::{BudgetRules, Days, KeyTable, KeyTerms, PayerReader, Sessions, SigningKeys};
use crate::catalogue::{self, Catalogue, CatalogueParts};
use crate::config::{Config, DatabaseUrl, Fsync};
use crate::day_books::DayBooks;
use crate::dispatch::Shared;
use crate::fleet::Fleet;
use crate::health::CheckBoard;
use crate::journal::{FsyncPolicy, Journal, JournalOptions};
use crate::storage::{
    self, AsRead, ChangedBy, PoolSettings, SchemaVersion, StorageError, Store, TenantKind,
    TenantRow, Terms, Write,
};

/// Opens the database that the config names.
///
/// # Errors
/// The storage's.
pub async fn open_store(config: &Config) -> Result<Store, StorageError> {
    match &config.general.database_url {
        DatabaseUrl::Sqlite(path) => storage::open_sqlite(path).await,
        DatabaseUrl::Postgres(url) => {
            storage::open_postgres(url.expose(), url.shown(), pool_settings(config)).await
        }
    }
}

/// Looks at the schema of the database that the config names, without changing it.
///
/// # Errors
/// The storage's.
pub async fn schema_version(config: &Config) -> Result<SchemaVersion, StorageError> {
    match &config.general.database_url {
        DatabaseUrl::Sqlite(path) => storage::sqlite_schema(path).await,
        DatabaseUrl::Postgres(url) => {
            storage::postgres_schema(url.expose(), url.shown(), pool_settings(config)).await
        }
    }
}

/// What the config says of connections to a database server.
pub(crate) fn pool_settings(config: &Config) -> PoolSettings {
    let limit = config.general.database_connection_pool_limit;
    PoolSettings {
        connections: limit.and_then(|limit| usize::try_from(limit).ok()),
        wait: config.general.database_connection_timeout,
    }
}

pub(super) fn workers(config: &Config) -> usize {
    let workers = config.server.workers;
    workers.unwrap_or_else(|| available_parallelism().map_or(2, usize::from))
}

pub(super) async fn open_journal(config: &Config) -> Result<Journal, anyhow::Error> {
    let data_dir = config.server.data_dir.clone();
    let options = journal_options(config)?;
    let journal = spawn_blocking(move || Journal::open(&data_dir, options))
        .await
        .context("opening the journal panicked")??;
    Ok(journal)
}

fn journal_options(config: &Config) -> Result<JournalOptions, anyhow::Error> {
    let settings = config.server.journal;
    // The health checks write as well.
    let writers = workers(config) + 1;
    let least = JournalOptions::min_bytes(writers);
    ensure!(
        settings.max_bytes >= least,
        "trunkline.journal.max_bytes is {}, too small for {} workers: write {least} or more",
        settings.max_bytes,
        writers - 1
    );
    Ok(JournalOptions {
        fsync: match settings.fsync {
            Fsync::Always => FsyncPolicy::Always,
            Fsync::Interval(every) => FsyncPolicy::Interval(every),
            Fsync::Never => FsyncPolicy::Never,
        },
        ..JournalOptions::sized(settings.max_bytes, writers)
    })
}

/// One more header that holds the key.
pub(super) fn key_header(config: &Config) -> Result<Option<HeaderName>, anyhow::Error> {
    let name = config.general.litellm_key_header_name.as_deref();
    name.map(HeaderName::try_from)
        .transpose()
        .context("litellm_key_header_name is no header name")
}

/// Where requests wait that a rate limit refuses, if they do.
pub(super) fn waiting_queue(config: &Config) -> Option<Queue> {
    let settings = config.server.queue?;
    Some(Queue::new(QueueSettings {
        max_wait: settings.max_wait,
        max_waiting: settings.max_waiting,
        max_waiting_per_subject: settings.max_waiting_per_subject,
    }))
}

/// Reads whom requests are charged to. `began`: when this process did.
pub(super) fn payers(
    config: &Config,
    store: &Store,
    ledger: &LedgerHandle,
    limiter: &LimiterHandle,
    fleet: Option<&Fleet>,
    began: UnixMs,
) -> PayerReader {
    let payers = PayerReader::new(
        store.clone(),
        ledger.clone(),
        BudgetRules::of(&config.budgets),
        config.general.max_parallel_requests,
    );
    payers.with_days(Days {
        limiter: limiter.clone(),
        books: day_books(config, store),
        began,
        standing: fleet.map(|fleet| Arc::clone(fleet.standing())),
    })
}

fn day_books(config: &Config, store: &Store) -> DayBooks {
    DayBooks {
        spend: Arc::clone(&store.spend),
        counted: config.general.counted_tokens,
    }
}

/// What all callers together may ask for.
pub(super) fn global_limits(config: &Config) -> Limits {
    let general = &config.general;
    Limits {
        rpm: general.global_max_rpm,
        tpm: general.global_max_tpm,
        max_parallel: general.global_max_parallel_requests,
        ..Limits::default()
    }
}

/// Where the keys of the identity provider will be, if there is one.
pub(super) fn signing_keys(config: &Config, clock: Clock) -> Option<Arc<SigningKeys>> {
    let jwt = config.jwt.as_ref()?;
    let life = jwt.keys_ttl.saturating_add(jwt.keys_stale);
    let keys = SigningKeys::new(jwt.all_keys_at().count(), life, clock);
    Some(Arc::new(keys))
}

/// What sessions of people are signed with, if there is a master key.
pub(super) fn sessions(config: &Config) -> Option<Arc<Sessions>> {
    let master = config.general.master_key.as_ref()?;
    let life = config.sign_in.session_life;
    Some(Arc::new(Sessions::new(master, life)))
}

/// Who may call: by keys, and by what is checked with those.
pub(super) fn key_table(
    config: &Config,
    (tokens, sessions): (Option<Arc<SigningKeys>>, Option<Arc<Sessions>>),
    store: &Store,
    payers: &PayerReader,
    clock: Clock,
) -> KeyTable {
    KeyTable::new(
        config.general.master_key.as_ref(),
        config.jwt.clone().zip(tokens),
        KeyTerms {
            ttl: config.general.user_api_key_cache_ttl,
            stale: config.server.stale_keys,
        },
        store.clone(),
        payers.clone(),
        clock,
    )
    .with_sessions(sessions)
}

/// Starts routing, with nothing to route to yet.
pub(super) fn start_supervisor(
    fleet: Option<&Fleet>,
    actors: &Arbiter,
    clock: Clock,
) -> SupervisorHandle {
    let cooldowns: Arc<dyn CooldownExchange> = match fleet {
        Some(fleet) => fleet.cooldowns(),
        None => Arc::new(NoReplicas),
    };
    let settings = SupervisorSettings::default();
    supervisor::start(&actors.handle(), settings, cooldowns, clock)
}

/// Serves the config's deployments and those of the database.
pub(super) async fn publish(
    config: &Config,
    shared: &Arc<Shared>,
    supervisor: &SupervisorHandle,
    store: &Store,
    checks: Option<&Arc<CheckBoard>>,
) -> Result<(Arc<Catalogue>, catalogue::Keeper), anyhow::Error> {
    let parts = CatalogueParts {
        shared: Arc::clone(shared),
        supervisor: supervisor.clone(),
        store: store.clone(),
        checks: checks.map(Arc::clone),
    };
    let (catalogue, mut keeper) = Catalogue::new(config, parts);
    keeper.publish().await?;
    Ok((catalogue, keeper))
}

/// This replica among others, where there may be some: with a Redis server, or on a database that several can use.
pub(super) fn join_fleet(
    config: &Config,
    store: &Store,
    ledger: &LedgerHandle,
) -> Result<Option<Arc<Fleet>>, anyhow::Error> {
    if config.redis.is_none() && store.replicas.is_none() {
        return Ok(None);
    }
    let id = RequestId::generate(UnixMs::now().0, rand::random()).to_string();
    let closed = config.general.fail_closed_limits;
    let days = day_books(config, store);
    let fleet = Fleet::new(config.redis.as_ref(), id, ledger, days, closed)
        .context("the Redis server cannot be used")?;
    Ok(Some(Arc::new(fleet)))
}

/// The file's users: its values win over what was stored, what they spent stays.
pub(super) async fn declare_users(config: &Config, store: &Store) -> Result<(), anyhow::Error> {
    for user in &config.users {
        let now = UnixMs::now();
        let id = UserId::new(user.user_id.as_str());
        let declare = async {
            let stored = store
                .tenants
                .by_id(TenantKind::User, user.user_id.clone())
                .await?;
            let stored = stored.unwrap_or_else(|| TenantRow::user(&id, now));
            let terms = Terms {
                max_budget: user.max_budget.map(Usd::rounded),
                budget_duration: user.budget_duration.clone(),
                rpm_limit: user.rpm_limit,
                tpm_limit: user.tpm_limit,
                since: Some(stored.created_at),
                ..stored.terms.clone()
            };
            // The file's word counts, whatever another replica that starts now makes of it.
            let row = TenantRow {
                as_read: AsRead::default(),
                email: user.email.clone(),
                role: Some(user.role.clone()),
                models: user.models.clone(),
                terms,
                updated_at: now,
                ..stored
            };
            let write = Write::PutTenant(Box::new(row));
            store
                .changes
                .apply(ChangedBy::program("user_config"), vec![write])
                .await
        };
        declare
            .await
            .with_context(|| format!("user {} of user_config cannot be stored", user.user_id))?;
    }
    Ok(())
}
