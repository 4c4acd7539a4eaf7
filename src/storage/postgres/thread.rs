//! The thread that every connection lives on. A connection belongs to the event loop that opened it: on a worker's it
//! would wait whenever that worker is busy, and end with it.

use std::future::Future;
use std::thread::Builder;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot::{self, Sender};

use crate::storage::StorageError;

/// A running event loop; ends when dropped.
#[derive(Debug)]
pub(super) struct StorageThread {
    handle: Handle,
    _stop: Sender<()>,
}

impl StorageThread {
    pub(super) fn start() -> Result<Self, StorageError> {
        let failed = |source| StorageError::Backend {
            operation: "start the database thread",
            source,
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|err| failed(err.into()))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        Builder::new()
            .name("postgres".to_owned())
            .spawn(move || runtime.block_on(async { stopped.await.ok() }))
            .map_err(|err| failed(err.into()))?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    /// Runs `work` on the thread for as long as that lasts.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }

    /// Runs `work` on the thread.
    ///
    /// Cancel safety: `work` goes on when the future is dropped, so no transaction is left half done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.handle
            .spawn(work)
            .await
            .map_err(|err| StorageError::Backend {
                operation,
                source: err.into(),
            })?
    }
}
