//! What was taken of limits of a day before this process began: a day outlives the process, and the books know it.

use std::sync::Arc;
use std::time::Duration;

use trunkline_actors::clock::{UnixMs, whole_millis};
use trunkline_actors::fleet::{Share, Standing};
use trunkline_actors::ids::Subject;
use trunkline_actors::rate_limiter::{LimiterHandle, Limits};

use crate::config::CountedTokens;
use crate::storage::{SlotTokens, SpendQueries, StorageError};

/// How far back the books are asked: what is older has come back.
const A_DAY: Duration = Duration::from_hours(24);

/// See the module.
#[derive(Debug)]
pub struct Days {
    /// Whose buckets begin with it.
    pub limiter: LimiterHandle,
    /// Which tokens count.
    pub counted: CountedTokens,
    /// When this process began.
    pub began: UnixMs,
    /// The other replicas: each begins with its share of what all have taken. `None` where there can be none.
    pub standing: Option<Arc<Standing>>,
}

// === impl Days ===

impl Days {
    /// Until when the books are to be asked for a subject; `None`: it is known what it took.
    pub(super) fn lacks(&self, subject: &Subject) -> Option<UnixMs> {
        self.limiter.day_lacks(subject, self.began, UnixMs::now())
    }

    /// Has a subject's day begin with what the books have of it before `until`.
    pub(super) async fn begin(
        &self,
        books: &dyn SpendQueries,
        subject: &Subject,
        limits: Limits,
        until: UnixMs,
    ) -> Result<(), StorageError> {
        let now = UnixMs::now();
        let since = UnixMs(now.0.saturating_sub(whole_millis(A_DAY)));
        let slots = books.tokens_between(subject.clone(), since, until).await?;
        let share = self.standing.as_ref().map_or(Share::WHOLE, |it| it.share());
        let past = slots.iter().map(|slot| {
            let SlotTokens {
                last,
                input,
                output,
            } = *slot;
            let ago = Duration::from_millis(now.0.saturating_sub(last.0));
            (ago, share.of(self.counted.of(input, output)))
        });
        let past: Vec<_> = past.collect();
        self.limiter.begin_day(subject, limits, &past);
        Ok(())
    }
}
