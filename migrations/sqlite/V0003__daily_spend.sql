-- The roll-up that pages and totals read. It is written in the transaction that inserts the rows it counts.
-- `day` counts days since 1970-01-01 UTC, taken from the row's ULID. Absent names are '' so that the key is total.

CREATE TABLE daily_spend (
    day                 INTEGER NOT NULL,
    key_id              TEXT    NOT NULL,
    user_id             TEXT    NOT NULL,
    model_group         TEXT    NOT NULL,
    model               TEXT    NOT NULL,
    provider            TEXT    NOT NULL,
    requests            INTEGER NOT NULL,
    successful          INTEGER NOT NULL,
    failed              INTEGER NOT NULL, -- with those whose outcome is unknown
    unpriced            INTEGER NOT NULL, -- requests whose cost is unknown: not part of `spend`
    prompt_tokens       INTEGER NOT NULL,
    completion_tokens   INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    spend               INTEGER NOT NULL,
    PRIMARY KEY (day, key_id, user_id, model_group, model, provider)
) STRICT, WITHOUT ROWID;

CREATE INDEX daily_spend_by_user ON daily_spend (user_id, day);
CREATE INDEX daily_spend_by_key ON daily_spend (key_id, day);
