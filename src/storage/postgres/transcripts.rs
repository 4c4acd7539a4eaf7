//! Statements on `transcripts`, whose days are partitions as those of the books are.

use std::sync::Arc;

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::BoxFuture;

use super::Postgres;
use super::convert::date;
use crate::storage::books::day;
use crate::storage::reports::Aging;
use crate::storage::{StorageError, TranscriptRow, TranscriptStore};

const INSERT: &str = "INSERT INTO trunkline.transcripts (day, id, request, answer) \
     SELECT * FROM unnest($1::text[]::date[], $2::text[], $3::text[], $4::text[]) ON CONFLICT (day, id) DO NOTHING";

const BY_ID: &str =
    "SELECT request, answer FROM trunkline.transcripts WHERE day = $1::text::date AND id = $2";

impl TranscriptStore for Postgres {
    fn keep(&self, rows: Arc<[TranscriptRow]>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let days = rows.iter().map(|row| day(row.id.unix_ms())).collect();
            self.partitions
                .ensure(&self.connections, Aging::Transcripts, days)
                .await?;
            self.connections
                .write("keep transcripts", move |transaction| {
                    Box::pin(async move {
                        let insert = transaction.prepare_cached(INSERT).await?;
                        let days: Vec<String> = rows.iter().map(|row| day_of(&row.id)).collect();
                        let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
                        let requests: Vec<&str> =
                            rows.iter().map(|row| row.request.as_str()).collect();
                        let answers: Vec<Option<&str>> =
                            rows.iter().map(|row| row.answer.as_deref()).collect();
                        transaction
                            .execute(&insert, &[&days, &ids, &requests, &answers])
                            .await?;
                        Ok(())
                    })
                })
                .await
        })
    }

    fn by_id(&self, id: RequestId) -> BoxFuture<'_, Result<Option<TranscriptRow>, StorageError>> {
        Box::pin(self.connections.read("read a transcript", move |client| {
            Box::pin(async move {
                let select = client.prepare_cached(BY_ID).await?;
                let found = client
                    .query_opt(&select, &[&day_of(&id), &id.to_string()])
                    .await?;
                let Some(found) = found else { return Ok(None) };
                Ok(Some(TranscriptRow {
                    id,
                    request: found.try_get(0)?,
                    answer: found.try_get(1)?,
                }))
            })
        }))
    }
}

/// The driver knows no dates.
fn day_of(id: &RequestId) -> String {
    date(day(id.unix_ms())).to_string()
}
