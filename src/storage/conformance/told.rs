//! What a store tells of changes, waited for.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::storage::{Change, Store};

/// Somebody who follows a store.
pub(super) struct Told(UnboundedReceiver<Change>);

impl Told {
    pub(super) fn by(store: &Store) -> Self {
        let (tell, heard) = unbounded_channel();
        // Whoever is not listened to any more may go on telling.
        store.feed.follow(Box::new(move |change| {
            tell.send(change).unwrap_or_default();
        }));
        Self(heard)
    }

    /// Waits until it is told of this; others may come first.
    pub(super) async fn of(&mut self, wanted: Change) {
        let hearing = async { while self.0.recv().await.unwrap() != wanted {} };
        let within = timeout(Duration::from_secs(20), hearing).await;
        assert!(within.is_ok(), "{wanted:?} is never heard");
    }
}
