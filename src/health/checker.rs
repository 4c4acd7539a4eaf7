//! The thread that checks: its own arbiter, its own dispatcher, one endless round per deployment.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use actix_rt::task::spawn_blocking;
use actix_rt::{Arbiter, spawn};
use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use log::{debug, info, warn};
use rustls::ClientConfig;
use tokio::sync::{Semaphore, oneshot};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ports::JournalWriter;

use super::board::{CheckBoard, Checked, Failure};
use super::schedule::Schedule;
use crate::auth::Identity;
use crate::config::{CheckBy, HealthSettings};
use crate::dispatch::{DispatchError, Dispatcher, Shared, Target};

/// The running checks.
pub struct Checker {
    arbiter: Arbiter,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

/// What a round needs, on the checker's thread.
struct Round {
    shared: Arc<Shared>,
    board: Arc<CheckBoard>,
    settings: HealthSettings,
    /// Whose calls they are.
    identity: Identity,
    dispatcher: Rc<Dispatcher>,
}

// === impl Checker ===

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker {
    /// Starts checking everybody on the board. Calls are put on the books of `identity`.
    pub fn start(
        shared: Arc<Shared>,
        board: Arc<CheckBoard>,
        settings: HealthSettings,
        identity: Identity,
        tls: Arc<ClientConfig>,
        journal: Arc<dyn JournalWriter>,
    ) -> Self {
        let arbiter = Arbiter::new();
        let (stop, stop_asked_for) = oneshot::channel();
        let (tell_stopped, stopped) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let round = Round {
                dispatcher: Rc::new(Dispatcher::new(Arc::clone(&shared), &tls, journal)),
                shared,
                board,
                settings,
                identity,
            };
            spawn(async move {
                tokio::select! {
                    _ = stop_asked_for => {}
                    () = round.all() => {}
                }
                drop(round);
                // Whoever waited may have gone.
                tell_stopped.send(()).ok();
            });
        });
        Self {
            arbiter,
            stop,
            stopped,
        }
    }

    /// Stops: a check that runs is dropped, and settled if it is a call.
    pub async fn stop(self) {
        // An error is a thread that has ended already.
        self.stop.send(()).ok();
        self.stopped.await.ok();
        self.arbiter.stop();
        let joined = spawn_blocking(move || self.arbiter.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            warn!("the thread of the health checks ended with a panic");
        }
    }
}

// === impl Round ===

impl Round {
    async fn all(&self) {
        let slots = Semaphore::new(self.settings.concurrency);
        let schedule = Schedule {
            interval: self.settings.interval,
        };
        let mut rounds = FuturesUnordered::new();
        let mut running: HashMap<String, AbortHandle> = HashMap::new();
        loop {
            let checked: HashSet<String> = self.board.ids().into_iter().collect();
            running.retain(|id, round| {
                let goes_on = checked.contains(id);
                if !goes_on {
                    round.abort();
                }
                goes_on
            });
            for id in checked {
                if running.contains_key(&id) {
                    continue;
                }
                let of = id.clone();
                let repeated = schedule.repeat(&slots, async move || self.check_by_id(&of).await);
                let (round, handle) = abortable(repeated);
                rounds.push(round);
                running.insert(id, handle);
            }
            tokio::select! {
                () = self.board.changed() => {}
                // A round ends when it is told to, and is not waited for.
                Some(_ended) = rounds.next() => {}
            }
        }
    }

    /// As it is configured at the moment.
    async fn check_by_id(&self, id: &str) {
        if let Some(target) = self.shared.targets().get(id).map(Arc::clone) {
            self.check(&target).await;
        }
    }

    async fn check(&self, target: &Target) {
        let began = self.shared.clock.now();
        let result = match self.settings.by {
            // What cannot be called is asked for its models.
            CheckBy::Call if target.can_be_called() => {
                let dispatcher = Rc::clone(&self.dispatcher);
                dispatcher.call_to_check(&self.identity, target).await
            }
            CheckBy::Call | CheckBy::Models => self.dispatcher.ask_for_models(target).await,
        };
        let failure = match result {
            Ok(()) => None,
            Err(DispatchError::Upstream(failure)) => Some(Failure {
                is_ignored: self.settings.ignore_transient && matches!(failure.status, 408 | 429),
                message: failure.message,
            }),
            // The provider was not asked: it cools down, is busy, or has spent its budget. That says nothing of it.
            Err(err) => {
                debug!(deployment = target.config.id.as_str(), err:% = err; "not checked");
                return;
            }
        };
        let at = self.shared.clock.now();
        self.publish(
            target,
            Checked {
                at,
                at_unix: UnixMs::now(),
                took: at.since(began),
                failure,
            },
        );
    }

    fn publish(&self, target: &Target, checked: Checked) {
        let config = &target.config;
        let (id, group) = (config.id.as_str(), config.model_name.as_str());
        let counts_until = self.board.counts_until(&checked);
        let is_ignored = checked.failure.is_some() && !checked.is_failed();
        if is_ignored {
            self.board.put(id, checked);
            return;
        }
        self.shared
            .metrics
            .checked(id, group, checked.failure.is_none());
        if self.settings.routing
            && let Some(deployment) = self.shared.routing.load().deployment(id)
        {
            deployment.row().publish_check(counts_until);
        }
        let message = checked
            .failure
            .as_ref()
            .map(|failure| failure.message.clone());
        let before = self.board.put(id, checked);
        let was_failed = before.is_some_and(|before| before.is_failed());
        match message {
            Some(err) if !was_failed => {
                warn!(deployment = id, model_group = group, err = err.as_str(); "the health check fails");
            }
            None if was_failed => {
                info!(deployment = id, model_group = group; "the health check passes again");
            }
            _ => {}
        }
    }
}
