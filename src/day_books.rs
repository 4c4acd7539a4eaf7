//! What a subject took of its limit of tokens a day, as the books have it: for a process that begins, and for a Redis server that
//! does not know the day.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trunkline_actors::clock::{UnixMs, whole_millis};
use trunkline_actors::ids::Subject;

use crate::config::CountedTokens;
use crate::storage::{SlotTokens, SpendQueries, StorageError};

/// How far back the books are asked: what is older has come back.
const A_DAY: Duration = Duration::from_hours(24);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct DayBooks {
    /// Has the books.
    pub spend: Arc<dyn SpendQueries>,
    /// Which tokens count.
    pub counted: CountedTokens,
}

// === impl DayBooks ===

impl DayBooks {
    /// What the subject took in the last 24 h and before `until`, by quarters of an hour: how long ago, and how much, the oldest
    /// first. What is still in a journal is not in it.
    ///
    /// # Errors
    /// The store's.
    pub async fn taken(
        &self,
        subject: Subject,
        until: UnixMs,
    ) -> Result<Vec<(Duration, u64)>, StorageError> {
        let now = UnixMs::now();
        let since = UnixMs(now.0.saturating_sub(whole_millis(A_DAY)));
        let slots = self.spend.tokens_between(subject, since, until).await?;
        let taken = slots.into_iter().map(|slot| {
            let SlotTokens {
                last,
                input,
                output,
            } = slot;
            let ago = Duration::from_millis(now.0.saturating_sub(last.0));
            (ago, self.counted.of(input, output))
        });
        Ok(taken.collect())
    }
}

impl fmt::Debug for DayBooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DayBooks")
            .field("counted", &self.counted)
            .finish_non_exhaustive()
    }
}
