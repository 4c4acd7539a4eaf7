//! What was asked and answered, word by word: kept beside the books, on request, and not as long.

use std::fmt;
use std::sync::Arc;

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::BoxFuture;

use super::StorageError;

/// What one request asked and what it was answered.
#[derive(Clone, PartialEq, Eq)]
pub struct TranscriptRow {
    /// The request's row of the books.
    pub id: RequestId,
    /// The client's body, JSON.
    pub request: String,
    /// What the client got, JSON; `None` where nothing of an answer came.
    pub answer: Option<String>,
}

impl fmt::Debug for TranscriptRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bodies: they are people's.
        f.debug_struct("TranscriptRow")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Transcripts.
pub trait TranscriptStore: Send + Sync {
    /// Keeps these; of an id that is there already nothing changes.
    ///
    /// # Errors
    /// The database's.
    fn keep(&self, rows: Arc<[TranscriptRow]>) -> BoxFuture<'_, Result<(), StorageError>>;

    /// The one of that request.
    ///
    /// # Errors
    /// The database's.
    fn by_id(&self, id: RequestId) -> BoxFuture<'_, Result<Option<TranscriptRow>, StorageError>>;
}

#[cfg(test)]
pub(super) mod conformance {
    //! What every store does with transcripts.

    use trunkline_actors::money::Usd;

    use super::TranscriptRow;
    use crate::storage::Store;
    use crate::storage::conformance::{NOON, row};
    use crate::storage::reports::Aging;

    const DAY: u64 = 86_400_000;

    fn said(at: u64, n: u64, answer: Option<&str>) -> TranscriptRow {
        TranscriptRow {
            id: row(at, n, None).id,
            // What the database must not take for the end of a text, or for JSON of its own.
            request: format!(
                r#"{{"n":{n},"nul":"\u0000","é":"\ud800 {}"}}"#,
                "x".repeat(100_000)
            ),
            answer: answer.map(str::to_owned),
        }
    }

    pub(in crate::storage) async fn a_transcript_comes_back_as_it_was_kept(store: &Store) {
        let rows = vec![said(NOON, 1, Some("{}")), said(NOON, 2, None)];
        store.transcripts.keep(rows.clone().into()).await.unwrap();
        let mut other = said(NOON, 1, Some("[]"));
        "another".clone_into(&mut other.request);
        store
            .transcripts
            .keep(vec![other, said(NOON + DAY, 3, None)].into())
            .await
            .unwrap();
        for row in rows {
            let found = store.transcripts.by_id(row.id).await.unwrap();
            assert!(found.is_some_and(|found| found == row));
        }
        let unknown = row(NOON, 4, None).id;
        assert!(store.transcripts.by_id(unknown).await.unwrap().is_none());
        store.transcripts.keep(Vec::new().into()).await.unwrap();
    }

    pub(in crate::storage) async fn old_transcripts_go_and_rows_of_the_books_stay(store: &Store) {
        let at = |n: u64| NOON + (n % 20) * DAY;
        let rows = (0..40).map(|n| row(at(n), n, Some(1))).collect();
        store.ledger.insert(rows).await.unwrap();
        let kept: Vec<TranscriptRow> = (0..40).map(|n| said(at(n), n, None)).collect();
        store.transcripts.keep(kept.into()).await.unwrap();
        let first_kept = i64::try_from(NOON / DAY).unwrap() + 15;
        let mut removed = 0;
        loop {
            let round = store
                .expiry
                .remove_before(Aging::Transcripts, first_kept, 3);
            let round = round.await.unwrap();
            if round.is_nothing() {
                break;
            }
            removed += round.rows;
        }
        assert_eq!(removed, 30);
        for n in 0..40 {
            let found = store
                .transcripts
                .by_id(row(at(n), n, None).id)
                .await
                .unwrap();
            assert_eq!(found.is_some(), n % 20 >= 15, "{n}");
        }
        let spent = store.spend.total_spend(None).await.unwrap();
        assert_eq!(spent, Usd::from_pico(40));
    }
}
