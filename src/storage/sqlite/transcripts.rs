//! Statements on `transcripts`.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};
use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::BoxFuture;

use super::Sqlite;
use crate::storage::{StorageError, TranscriptRow, TranscriptStore};

impl TranscriptStore for Sqlite {
    fn keep(&self, rows: Arc<[TranscriptRow]>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(
            self.connections
                .write("keep transcripts", move |transaction| {
                    let mut insert = transaction.prepare_cached(
                        "INSERT INTO transcripts (id, request, answer) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
                    )?;
                    for row in &*rows {
                        insert.execute(params![row.id.to_string(), row.request, row.answer])?;
                    }
                    Ok(())
                }),
        )
    }

    fn by_id(&self, id: RequestId) -> BoxFuture<'_, Result<Option<TranscriptRow>, StorageError>> {
        Box::pin(
            self.connections
                .read("read a transcript", move |connection| {
                    let mut select = connection
                        .prepare_cached("SELECT request, answer FROM transcripts WHERE id = ?1")?;
                    let row = select.query_row([id.to_string()], |row| {
                        Ok(TranscriptRow {
                            id,
                            request: row.get(0)?,
                            answer: row.get(1)?,
                        })
                    });
                    Ok(row.optional()?)
                }),
        )
    }
}
