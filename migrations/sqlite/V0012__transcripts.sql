-- What was asked and answered, word by word, where `store_prompts_in_spend_logs` is on. `id` is that of the row in
-- `spend_logs`, without a reference: both go at their own time. Texts are JSON, and plain text to the database.

CREATE TABLE transcripts (
    id      TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    answer  TEXT
) STRICT;
