//! Builds the process, serves, and takes it down again in order.
//!
//! Start: journal → store → actors → routing table → workers → health checks. Stop (SIGTERM or SIGINT): readiness fails and
//! new requests are refused → no new connections, running requests and streams finish up to `shutdown_timeout`, the rest is
//! cut and settled → health checks and the removal of old rows stop → the last transcripts are stored → the ledger ships what the journal holds → the journal and the database are closed → the actors' arbiter stops.
//! What could not be shipped stays in the journal and is shipped by the next start.

mod listen;
mod parts;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::middleware::{Condition, DefaultHeaders, from_fn};
use actix_web::{App as WebApp, HttpServer, web};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use log::{error, info, warn};
use rustls::ClientConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use trunkline_actors::clock::{Clock, UnixMs};
use trunkline_actors::rate_limiter::{self, LimiterSettings};
use trunkline_actors::spend_ledger::{self, Drain, LedgerSettings};

use crate::app::{App, ReloadConfig, Worker};
use crate::auth::{Attempts, Identity, LabelTable, SigningKeys};
use crate::catalogue;
use crate::config::{Config, NoticeKind};
use crate::dispatch::{self, Dispatcher, Draining, Fetcher, Recording, Shared, Sharing};
use crate::fleet::{Beside, Keeper};
use crate::health::{CheckBoard, Checker};
use crate::http::{guard, model_call, routes};
use crate::journal::Journal;
use crate::jwks::Jwks;
use crate::retention::{Keeping, Retention};
use crate::rotation::RotationWatch;
use crate::storage::Aging;
use crate::telemetry::metrics::Metrics;
use crate::transcripts::{Queue, Transcripts, Writer};

use self::listen::{StopSignals, addresses, any_origin};
pub(crate) use self::parts::pool_settings;
use self::parts::{
    declare_users, global_limits, join_fleet, key_header, key_table, open_journal, payers, publish,
    sessions, signing_keys, start_supervisor, waiting_queue, workers,
};
pub use self::parts::{open_store, schema_version};

/// How long an idle client connection is kept: longer than clients keep theirs (5 s to 60 s in the usual SDKs and proxies),
/// or a request would meet the closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take. actix's own 5 s are over before a worker that is busy has looked at a connection
/// whose request lies there, and what it answers then is a 408 without a body.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
/// How long requests that were cut at the end of `shutdown_timeout` may take to settle.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);
/// How long the last transcripts may take to be stored.
const TRANSCRIPTS_WITHIN: Duration = Duration::from_secs(3);
/// How long the ledger may ship at the end.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Its number on Linux and macOS.
const SIGXFSZ: i32 = 25;

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, with its cause; once it serves, nothing but the loss of its sockets.
pub async fn serve(config: Config, reload: ReloadConfig) -> Result<(), anyhow::Error> {
    report_notices(&config);
    let (addresses, closed) = addresses(&config)?;
    if closed {
        warn!(
            "no master key is set and the address is reachable from outside: only health routes answer. Set LITELLM_MASTER_KEY or general_settings.master_key"
        );
    }
    let process = Process::start(config, reload, closed).await?;
    process.run(&addresses).await
}

/// What lives as long as the process and is not a worker's.
struct Process {
    app: Arc<App>,
    /// Keeps what is served, until it runs.
    catalogue_keeper: Option<catalogue::Keeper>,
    /// What the writer of transcripts is to empty, until it runs.
    transcripts: Option<Queue>,
    /// What tokens are checked with, where an identity provider makes them.
    signing_keys: Option<Arc<SigningKeys>>,
    journal: Arc<Journal>,
    actors: Arbiter,
}

// === impl Process ===

impl Process {
    async fn start(
        config: Config,
        reload: ReloadConfig,
        closed: bool,
    ) -> Result<Self, anyhow::Error> {
        let journal = Arc::new(open_journal(&config).await?);
        let store = open_store(&config).await?;
        declare_users(&config, &store).await?;

        let actors = Arbiter::new();
        let (clock, began) = (Clock::start(), UnixMs::now());
        let limiter = rate_limiter::start(&actors.handle(), LimiterSettings::default(), clock);
        let ledger = spend_ledger::start(
            &actors.handle(),
            LedgerSettings::default(),
            journal.reader(),
            Arc::clone(&store.ledger),
            clock,
        );
        let prices = Arc::clone(&config.price_book);
        let fleet = join_fleet(&config, &store, &ledger)?;
        let supervisor = start_supervisor(fleet.as_deref(), &actors, clock);

        let payers = payers(&config, &store, &ledger, &limiter, fleet.as_deref(), began);
        let labels = LabelTable::new(
            payers.clone(),
            global_limits(&config),
            config.general.user_api_key_cache_ttl,
            clock,
        );
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let kept = config.transcripts;
        let (transcripts, queue) = kept
            .map(|settings| Transcripts::new(settings, metrics.transcripts()))
            .unzip();
        let shared = Arc::new(Shared {
            routing: supervisor.routing().clone(),
            limiter,
            labels: labels
                .await
                .context("what was spent of the gateway's budget cannot be read")?,
            ledger: ledger.clone(),
            prices: ArcSwap::new(prices),
            metrics,
            clock,
            timeouts: config.server.timeouts,
            router: config.router.clone(),
            litellm: config.litellm.clone(),
            queue: waiting_queue(&config),
            sharing: config.sharing.clone().map(Sharing::new),
            counted_tokens: config.general.counted_tokens,
            always_include_stream_usage: config.general.always_include_stream_usage,
            allow_mock_testing: config.general.allow_mock_testing,
            client_gone: config.server.client_gone,
            receipts: config.server.receipts,
            draining: Draining::default(),
            recording: Recording::new(config.server.journal.when_full),
            transcripts,
            late_error: model_call::late_error,
        });
        let signing_keys = signing_keys(&config, clock);
        let sessions = sessions(&config);
        let known = (signing_keys.clone(), sessions.clone());
        let keys = key_table(&config, known, &store, &payers, clock);
        let key_header = key_header(&config)?;
        let checks = config
            .health
            .background
            .then(|| Arc::new(CheckBoard::new(&config.health)));
        let (catalogue, keeper) =
            publish(&config, &shared, &supervisor, &store, checks.as_ref()).await?;
        Ok(Self {
            app: Arc::new(App {
                config,
                shared,
                keys,
                sessions,
                attempts: Attempts::default(),
                payers,
                reload,
                store,
                ledger,
                fleet,
                journal: Arc::clone(&journal),
                supervisor,
                catalogue,
                checks,
                key_header,
                closed,
                draining: AtomicBool::new(false),
            }),
            catalogue_keeper: Some(keeper),
            transcripts: queue,
            signing_keys,
            journal,
            actors,
        })
    }

    async fn run(mut self, addresses: &[SocketAddr]) -> Result<(), anyhow::Error> {
        let tls = dispatch::tls_config();
        let (app, journal) = (Arc::clone(&self.app), Arc::clone(&self.journal));
        let worker_tls = Arc::clone(&tls);
        let settings = &self.app.config.server;
        let workers = workers(&self.app.config);
        let mut server = HttpServer::new(move || {
            let worker = Worker {
                app: Arc::clone(&app),
                dispatcher: Rc::new(
                    Dispatcher::new(Arc::clone(&app.shared), &worker_tls, journal.writer())
                        .among(app.fleet.as_ref().map(|fleet| fleet.handle())),
                ),
                fetcher: app
                    .config
                    .sign_in
                    .provider
                    .is_some()
                    .then(|| Rc::new(Fetcher::new(&worker_tls))),
            };
            WebApp::new()
                .app_data(web::Data::new(worker))
                .wrap(
                    DefaultHeaders::new()
                        .add(("vary", "Origin"))
                        .add(("x-frame-options", "DENY"))
                        .add(("content-security-policy", "frame-ancestors 'none'"))
                        .add(("x-content-type-options", "nosniff")),
                )
                // Without a master key any web page could call: then no other origin is let in.
                .wrap(Condition::new(app.keys.has_master_key(), any_origin()))
                .wrap(from_fn(guard))
                .configure(routes::configure)
                .default_service(web::to(routes::not_found))
        })
        .workers(workers)
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_WITHIN)
        // Without this a client that left is noticed at the next write only.
        .h1_allow_half_closed(false)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals();
        // A file that reaches the process's size limit is an error of that write, which the journal answers for, and not
        // the end of the process.
        let _file_too_large =
            signal(SignalKind::from_raw(SIGXFSZ)).context("SIGXFSZ cannot be received")?;
        // Before anybody is told that the gateway listens: a signal from then on is an ordered stop.
        let mut stop_asked_for = StopSignals::new().context("signals cannot be received")?;
        let catalogue_keeper = self.catalogue_keeper.take();
        let catalogue_keeper = catalogue_keeper.map(catalogue::Keeper::start);
        self.follow_changes();
        // Nobody is served before it is known who else is there.
        let keeper = self.start_keeper().await;
        for address in addresses {
            server = server.bind(address).with_context(|| {
                format!("cannot listen on {address}; choose another with --host and --port")
            })?;
        }
        for address in server.addrs() {
            info!(address:% = address, workers; "listening");
        }
        let running = server.run();
        let server = running.handle();
        let mut running = actix_rt::spawn(running);
        let _jwks = self.start_jwks(&tls);
        let checker = self.start_checks(tls);
        let retention = self.start_retention();
        let _rotations = self.watch_rotations();
        let transcripts = self.start_transcripts();
        let ended = tokio::select! {
            () = stop_asked_for.wait() => {
                info!("stopping: no new requests, running ones may finish");
                self.app.draining.store(true, Ordering::Relaxed);
                if let Some(queue) = &self.app.shared.queue {
                    queue.close();
                }
                server.stop(true).await;
                Ok(())
            }
            ended = &mut running => ended
                .context("the server panicked")
                .and_then(|ended| ended.context("the server stopped")),
        };
        if let Some(checker) = checker {
            checker.stop().await;
        }
        if let Some(retention) = retention {
            retention.stop().await;
        }
        self.settled().await;
        if let Some(transcripts) = transcripts {
            transcripts.stop(TRANSCRIPTS_WITHIN).await;
        }
        if let Some(keeper) = keeper {
            keeper.stop().await;
        }
        if let Some(keeper) = catalogue_keeper {
            keeper.stop();
        }
        self.stop().await;
        ended
    }

    /// What other replicas change is known here within a second.
    fn follow_changes(&self) {
        let app = Arc::downgrade(&self.app);
        self.app.store.feed.follow(Box::new(move |change| {
            if let Some(app) = app.upgrade() {
                app.changed(&change);
            }
        }));
    }

    async fn start_keeper(&self) -> Option<Keeper> {
        let app = &self.app;
        let shared = Arc::clone(&app.shared);
        let routing = app.supervisor.routing().clone();
        let keeper = Keeper::start(
            Arc::clone(app.fleet.as_ref()?),
            app.ledger.clone(),
            app.store.replicas.clone(),
            Beside {
                watched: Box::new(move || shared.targets().caps().windows(UnixMs::now())),
                granted: Box::new(move || {
                    let table = routing.load();
                    let granted = table.granted();
                    granted
                        .map(|(handle, grant)| (handle.clone(), grant))
                        .collect()
                }),
            },
            app.shared.clock,
        );
        Some(keeper.await)
    }

    fn start_jwks(&self, tls: &Arc<ClientConfig>) -> Option<Jwks> {
        let jwt = self.app.config.jwt.as_ref()?;
        Some(Jwks::start(
            jwt.all_keys_at().cloned().collect(),
            jwt.keys_ttl,
            self.signing_keys.as_ref()?,
            Fetcher::new(tls),
        ))
    }

    fn start_retention(&self) -> Option<Retention> {
        let app = &self.app;
        let general = &app.config.general;
        let spend = general.spend_retention;
        let transcripts = app.config.transcripts.map(|kept| kept.retention);
        let periods: Vec<_> = [(Aging::SpendRows, spend), (Aging::Transcripts, transcripts)]
            .into_iter()
            .filter_map(|(what, period)| Some((what, period?)))
            .collect();
        if periods.is_empty() {
            return None;
        }
        Some(Retention::start(
            Keeping {
                periods,
                interval: general.retention_interval,
            },
            Arc::clone(&app.store.expiry),
            app.ledger.clone(),
            Arc::clone(&app.shared),
        ))
    }

    fn watch_rotations(&self) -> RotationWatch {
        let app = &self.app;
        RotationWatch::start(
            app.config.general.rotation_interval,
            Arc::clone(&app.store.keys),
            Arc::clone(&app.shared),
        )
    }

    fn start_checks(&self, tls: Arc<ClientConfig>) -> Option<Checker> {
        let app = &self.app;
        let identity = if app.keys.has_master_key() {
            Identity::Master
        } else {
            Identity::Open
        };
        Some(Checker::start(
            Arc::clone(&app.shared),
            Arc::clone(app.checks.as_ref()?),
            app.config.health.clone(),
            identity,
            tls,
            self.journal.writer(),
        ))
    }

    fn start_transcripts(&mut self) -> Option<Writer> {
        Some(Writer::start(
            self.transcripts.take()?,
            Arc::clone(&self.app.store.transcripts),
        ))
    }

    /// Waits for the requests that were cut.
    async fn settled(&self) {
        // The workers drop what they cut on threads of their own, and each drop still writes to the journal.
        let settled = async {
            while self.app.shared.metrics.in_flight() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(SETTLE_WITHIN, settled).await.is_err() {
            warn!(
                "requests are still running; the next start settles them with their estimated input"
            );
        }
    }

    async fn stop(self) {
        if let Err(err) = self
            .app
            .ledger
            .drain(Drain {
                within: DRAIN_WITHIN,
            })
            .await
        {
            warn!(err:% = err; "the ledger was not drained; the next start ships the rest");
        }
        match self.journal.close() {
            Ok(true) => {}
            Ok(false) => info!("the journal keeps records for the next start"),
            Err(err) => error!(err:% = err; "the journal could not be closed"),
        }
        if let Err(err) = self.app.store.lifecycle.close().await {
            warn!(err:% = err; "the database was not closed cleanly; its next opening repairs it");
        }
        self.actors.stop();
        info!("stopped");
    }
}

fn report_notices(config: &Config) {
    for notice in &config.warnings {
        match notice.kind {
            NoticeKind::Weak
            | NoticeKind::SkippedDeployment
            | NoticeKind::UnknownKey
            | NoticeKind::DuplicateKey => {
                warn!(config = notice.path.as_str(); "{notice}");
            }
            NoticeKind::NotActedOn | NoticeKind::Adjusted => {
                info!(config = notice.path.as_str(); "{notice}");
            }
        }
    }
}
