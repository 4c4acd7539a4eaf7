//! Single flight: what several want at once is read once, and all of them get it.
//!
//! Keeps nothing: who comes when all are served reads anew. Errors are nobody's but the reader's; the next one who waits reads
//! itself.

use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::OnceCell;

/// See the module. Has an entry for each key that somebody waits for at the moment.
#[derive(Debug)]
pub(crate) struct Loading<K: Eq + Hash, V>(DashMap<K, Arc<OnceCell<V>>>);

/// One of those who wait for a key to be read. The last one to leave, served or cancelled, takes the cell away: clients
/// that ask for what there is not and hang up leave nothing behind.
struct Waiting<'l, K: Eq + Hash, V> {
    loading: &'l Loading<K, V>,
    key: &'l K,
    cell: Arc<OnceCell<V>>,
}

// === impl Loading ===

impl<K: Eq + Hash, V> Default for Loading<K, V> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Loading<K, V> {
    /// What `reading` gives, or what that of somebody else gives who wants the same just now.
    ///
    /// Cancel safe: if the reader leaves, the next one who waits reads.
    ///
    /// # Errors
    /// Those of `reading`.
    pub(crate) async fn run<E>(
        &self,
        key: &K,
        reading: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let waiting = self.join(key);
        waiting.cell.get_or_try_init(|| reading).await.cloned()
    }

    fn join<'l>(&'l self, key: &'l K) -> Waiting<'l, K, V> {
        let cell = Arc::clone(&self.0.entry(key.clone()).or_default());
        Waiting {
            loading: self,
            key,
            cell,
        }
    }
}

// === impl Waiting ===

impl<K: Eq + Hash, V> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        // Under the shard's lock nobody can join: two are the table's and our own.
        self.loading.0.remove_if(self.key, |_, cell| {
            Arc::ptr_eq(cell, &self.cell) && Arc::strong_count(cell) <= 2
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::time::Duration;

    use tokio::join;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[test]
    fn the_last_to_wait_for_a_key_takes_its_cell_away() {
        let loading: Loading<&str, ()> = Loading::default();
        let first = loading.join(&"k");
        let second = loading.join(&"k");
        assert!(Arc::ptr_eq(&first.cell, &second.cell));

        drop(first);
        assert_eq!(loading.0.len(), 1);
        drop(second);
        assert!(loading.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_several_want_at_once_is_read_once() {
        let loading: Loading<&str, u32> = Loading::default();
        let readings = Cell::new(0);
        let read = || async {
            sleep(Duration::from_millis(10)).await;
            readings.set(readings.get() + 1);
            Ok::<_, ()>(readings.get())
        };
        let (first, second) = join!(loading.run(&"k", read()), loading.run(&"k", read()));
        assert_eq!((first, second), (Ok(1), Ok(1)));
        assert_eq!(loading.run(&"k", read()).await, Ok(2), "nothing is kept");
        assert!(loading.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_leaves_or_fails_keeps_nobody_from_reading() {
        let loading: Loading<&str, u32> = Loading::default();
        let leaves = timeout(
            Duration::from_millis(10),
            loading.run(&"k", pending::<Result<u32, &str>>()),
        );
        let fails = loading.run(&"k", async { Err("no") });
        let reads = loading.run(&"k", async { Ok(3) });
        let (left, failed, read) = join!(leaves, fails, reads);
        assert!(left.is_err());
        assert_eq!(failed, Err("no"));
        assert_eq!(read, Ok::<_, &str>(3));
        assert!(loading.0.is_empty());
    }
}
