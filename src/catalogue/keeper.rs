//! The one task that publishes what is served.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::spawn;
use log::{error, info, warn};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::settings::StoredSettings;
use super::stored::LeftOut;
use super::{Ask, Catalogue, RefreshError};
use crate::config::Config;
use crate::dispatch::{TargetParts, Targets, routing_config};
use crate::storage::{EntryKind, EntryRow, SettingRow};

/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);

/// Publishes what is served, at the start and whenever it changes.
#[derive(Debug)]
pub struct Keeper {
    catalogue: Arc<Catalogue>,
    asks: Receiver<Ask>,
    /// What was published last; `None` before the first time.
    published: Option<Vec<EntryRow>>,
    /// The settings with it.
    settings: Vec<SettingRow>,
    /// What is published has other prices, or terms, than the config has by now.
    is_stale: bool,
    /// What the log knows of.
    said: Vec<LeftOut>,
}

/// The keeper's task.
#[derive(Debug)]
pub struct Running {
    task: JoinHandle<()>,
}

// === impl Running ===

impl Running {
    /// Ends it. What is published is whole: the supervisor takes it in one message.
    pub fn stop(self) {
        self.task.abort();
    }
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(catalogue: Arc<Catalogue>, asks: Receiver<Ask>) -> Self {
        Self {
            catalogue,
            asks,
            published: None,
            settings: Vec::new(),
            is_stale: false,
            said: Vec::new(),
        }
    }

    /// Answers and follows until it is stopped.
    pub fn start(mut self) -> Running {
        let task = spawn(async move {
            let mut failed = false;
            loop {
                let mut asks = Vec::new();
                tokio::select! {
                    ask = self.asks.recv() => {
                        let Some(ask) = ask else { return };
                        asks.push(ask);
                        // Whoever asked before the rows are read is answered by them.
                        while let Ok(ask) = self.asks.try_recv() {
                            asks.push(ask);
                        }
                    }
                    () = self.catalogue.news.notified() => {}
                    () = sleep(AGAIN), if failed => {}
                }
                let was_failed = failed;
                failed = self.serve(asks, was_failed).await;
            }
        });
        Running { task }
    }

    /// Answers those that ask. True: it is to be tried again.
    async fn serve(&mut self, asks: Vec<Ask>, was_failed: bool) -> bool {
        let mut waiting = Vec::new();
        let mut repriced = Vec::new();
        for ask in asks {
            match ask {
                Ask::Refresh(tell) => waiting.push(tell),
                Ask::Reprice(config, tell) => repriced.push((config, tell)),
            }
        }
        let repriced: Vec<_> = repriced
            .into_iter()
            .map(|(config, tell)| (self.reprice(&config), tell))
            .collect();
        let Err(err) = self.publish().await else {
            answer(waiting, || Ok(()));
            for (count, tell) in repriced {
                tell.send(Ok(count)).ok();
            }
            return false;
        };
        if !was_failed {
            warn!(err:% = err; "what is served stays as it was, and is read again in a second");
        }
        let again = err.to_string();
        answer(waiting, || Err(RefreshError::Again(again.clone())));
        for (_, tell) in repriced {
            tell.send(Err(RefreshError::Again(again.clone()))).ok();
        }
        true
    }

    /// Reads what is stored, and has requests routed by it when it returns. What did not change is not touched.
    ///
    /// # Errors
    /// [`RefreshError`]; what was served is served on.
    pub async fn publish(&mut self) -> Result<(), RefreshError> {
        let catalogue = Arc::clone(&self.catalogue);
        let (rows, settings) = if catalogue.is_stored {
            let store = &catalogue.store;
            (store.entries.all().await?, store.settings.all().await?)
        } else {
            (Vec::new(), Vec::new())
        };
        let is_same = self.published.as_ref() == Some(&rows) && self.settings == settings;
        if !self.is_stale && is_same {
            return Ok(());
        }
        let (stored_settings, unread) = StoredSettings::read(&settings);
        let (stored, mut left_out) = catalogue.deployments(&rows);
        let mut deployments = [catalogue.configured.as_slice(), &stored].concat();
        let mut ids = HashSet::new();
        // Two entries of the config that say the same have one id, if both waited for a credential.
        deployments.retain(|one| ids.insert(one.id.clone()));
        let shared = &catalogue.shared;
        let parts = TargetParts {
            router: &shared.router,
            prices: &shared.prices.load_full(),
            metrics: &shared.metrics,
            ledger: &shared.ledger,
        };
        let (targets, refused) = Targets::after(&shared.targets(), &deployments, parts).await?;
        for (id, why) in refused {
            if catalogue.configured.iter().any(|one| one.id == id) {
                return Err(RefreshError::Deployment { id, why });
            }
            let deployment = deployments.iter().find(|one| one.id == id);
            left_out.push(LeftOut {
                kind: EntryKind::Model,
                name: deployment.map(|one| one.model_name.clone()),
                id,
                why,
            });
        }
        let targets = Arc::new(targets);
        let applied = catalogue
            .supervisor
            .apply(routing_config(
                &stored_settings.over(&shared.router),
                &targets,
            ))
            .await
            .map_err(|_gone| RefreshError::Stopping)?;
        catalogue.take_over(stored_settings);
        if let Some(checks) = &catalogue.checks {
            checks.follow(targets.configs());
        }
        if self.published.is_some() {
            info!(
                started = applied.started, stopped = applied.stopped, kept = applied.kept;
                "the stored deployments and settings were read anew"
            );
        }
        self.say(left_out);
        // Of each once, until a setting is changed.
        if self.settings != settings {
            for (name, why) in unread {
                error!(name; "a stored setting is left out: {why}");
            }
        }
        self.published = Some(rows);
        self.settings = settings;
        self.is_stale = false;
        Ok(())
    }

    /// Of each entry that is left out once, until something else is wrong with it.
    fn say(&mut self, left_out: Vec<LeftOut>) {
        for one in &left_out {
            if !self.said.contains(one) {
                error!(
                    id = one.id.as_str(), name = one.name.as_deref();
                    "a stored {} is left out: {}", one.kind.as_str(), one.why
                );
            }
        }
        self.said = left_out;
    }

    /// Takes over the prices of a config, and answers for how many deployments. Stored ones are to be published again: they
    /// are read with the new list and terms.
    fn reprice(&mut self, config: &Config) -> usize {
        let catalogue = &self.catalogue;
        let book = &config.price_book;
        catalogue.entries.store(Arc::new(config.entries.clone()));
        catalogue.shared.prices.store(Arc::clone(book));
        let targets = catalogue.shared.targets();
        let repriced = targets.reprice(&config.deployments, book);
        let rows = self.published.as_deref().unwrap_or_default();
        let (stored, _left_out) = catalogue.deployments(rows);
        self.is_stale = true;
        repriced + targets.reprice(&stored, book)
    }
}

fn answer(
    waiting: Vec<oneshot::Sender<Result<(), RefreshError>>>,
    what: impl Fn() -> Result<(), RefreshError>,
) {
    for tell in waiting {
        // Whoever does not wait any more needs no answer.
        tell.send(what()).ok();
    }
}
