//! Statements on `replicas`. Times are the database's, so that no clock of a replica must be right.

use std::time::Duration;

use trunkline_actors::clock::whole_millis;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use crate::storage::books::integer;
use crate::storage::{ReplicaStore, StorageError};

const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl ReplicaStore for Postgres {
    fn beat(
        &self,
        replica: String,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<String>, StorageError>> {
        let lease = whole_millis(lease);
        Box::pin(
            self.connections
                .write("count the replicas", move |transaction| {
                    Box::pin(async move {
                        let note = transaction
                            .prepare_cached(&format!(
                                "INSERT INTO trunkline.replicas (id, seen_at) VALUES ($1, {NOW}) \
                                 ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at"
                            ))
                            .await?;
                        transaction.execute(&note, &[&replica]).await?;
                        // Those of others that are long gone; whoever is locked is being noted just now.
                        let clear = transaction
                            .prepare_cached(&format!(
                                "DELETE FROM trunkline.replicas WHERE id IN (SELECT id FROM trunkline.replicas \
                                 WHERE seen_at < {NOW} - 10 * $1::bigint FOR UPDATE SKIP LOCKED)"
                            ))
                            .await?;
                        transaction.execute(&clear, &[&integer(lease)]).await?;
                        let live = transaction
                            .prepare_cached(&format!(
                                "SELECT id FROM trunkline.replicas WHERE seen_at > {NOW} - $1::bigint ORDER BY id"
                            ))
                            .await?;
                        let live = transaction.query(&live, &[&integer(lease)]).await?;
                        let live = live.iter().map(|row| row.try_get(0));
                        Ok(live.collect::<Result<_, _>>()?)
                    })
                }),
        )
    }

    fn leave(&self, replica: String) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(
            self.connections
                .write("sign a replica off", move |transaction| {
                    Box::pin(async move {
                        let statement = transaction
                            .prepare_cached("DELETE FROM trunkline.replicas WHERE id = $1")
                            .await?;
                        transaction.execute(&statement, &[&replica]).await?;
                        Ok(())
                    })
                }),
        )
    }
}
