//! Counting off the async threads.
//!
//! A count may take seconds, and the blocking pool of a worker also serves the database: so a few counts run at a time and
//! the others wait for their turn.

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{CountError, Tokenizer};

/// Counts that run at the same time in this process.
const AT_A_TIME: usize = 2;

/// Bodies up to here are counted at once if the vocabulary is loaded: well under a millisecond.
const SMALL: usize = 2048;

static TURNS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// [`Tokenizer::count_chat`] for async code: a small body is counted in place, others on the blocking pool.
///
/// # Errors
/// As [`Tokenizer::count_chat`], and [`CountError::Broken`] when the pool gave no answer.
pub async fn count_chat_in_background(
    tokenizer: Tokenizer,
    body: Bytes,
) -> Result<usize, CountError> {
    run(tokenizer, body, Tokenizer::count_chat).await
}

/// [`Tokenizer::exceeds`] for async code: as [`count_chat_in_background`].
///
/// # Errors
/// As [`count_chat_in_background`].
pub async fn exceeds_in_background(
    tokenizer: Tokenizer,
    body: Bytes,
    limit: usize,
) -> Result<bool, CountError> {
    run(tokenizer, body, move |tokenizer, body| {
        tokenizer.exceeds(body, limit)
    })
    .await
}

async fn run<T: Send + 'static>(
    tokenizer: Tokenizer,
    body: Bytes,
    count: impl FnOnce(&Tokenizer, &[u8]) -> Result<T, CountError> + Send + 'static,
) -> Result<T, CountError> {
    if body.len() <= SMALL && tokenizer.vocabulary().is_loaded() {
        return count(&tokenizer, &body);
    }
    let turn = TURNS
        .acquire()
        .await
        .map_err(|_closed| CountError::Broken)?;
    // The turn ends with the work and not with the waiting: a caller that leaves does not stop what runs.
    spawn_blocking(move || {
        let _turn = turn;
        count(&tokenizer, &body)
    })
    .await
    .map_err(|_panicked_or_stopping| CountError::Broken)?
}
