//! What was taken of limits of a day before this process began: a day outlives the process, and the books know it.

use std::sync::Arc;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::fleet::{Share, Standing};
use trunkline_actors::ids::Subject;
use trunkline_actors::rate_limiter::{LimiterHandle, Limits};

use crate::day_books::DayBooks;
use crate::storage::StorageError;

/// See the module.
#[derive(Debug)]
pub struct Days {
    /// Whose buckets begin with it.
    pub limiter: LimiterHandle,
    /// What the books have of it.
    pub books: DayBooks,
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
        subject: &Subject,
        limits: Limits,
        until: UnixMs,
    ) -> Result<(), StorageError> {
        let mut past = self.books.taken(subject.clone(), until).await?;
        let share = self.standing.as_ref().map_or(Share::WHOLE, |it| it.share());
        for (_, units) in &mut past {
            *units = share.of(*units);
        }
        self.limiter.begin_day(subject, limits, &past);
        Ok(())
    }
}
