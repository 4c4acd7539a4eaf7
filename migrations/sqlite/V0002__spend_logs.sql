-- One row per request that reached a provider or was answered from the cache. Prompts and answers are never here.
-- `id` is our own ULID, so its order is the order of time; `request_id` is the provider's and not unique.
-- The usage parts are disjoint. `cost` is pico-USD; NULL means that no price was known, which is not zero.

CREATE TABLE spend_logs (
    id                 TEXT    NOT NULL PRIMARY KEY,
    request_id         TEXT,
    call_type          TEXT    NOT NULL,
    status             TEXT    NOT NULL CHECK (status IN ('success', 'failure', 'unknown')),
    key_id             TEXT,
    key_alias          TEXT,
    user_id            TEXT,
    end_user           TEXT,
    model_group        TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    deployment         TEXT,
    provider           TEXT    NOT NULL,
    api_base           TEXT,
    stream             INTEGER NOT NULL CHECK (stream IN (0, 1)),
    started_at         INTEGER NOT NULL,
    first_content_at   INTEGER,
    ended_at           INTEGER NOT NULL,
    input_uncached     INTEGER NOT NULL,
    cache_read         INTEGER NOT NULL,
    cache_write_5m     INTEGER NOT NULL,
    cache_write_1h     INTEGER NOT NULL,
    audio_input        INTEGER NOT NULL,
    image_input        INTEGER NOT NULL,
    output_text        INTEGER NOT NULL,
    reasoning          INTEGER NOT NULL,
    audio_output       INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    total_tokens       INTEGER NOT NULL,
    usage_estimated    INTEGER NOT NULL CHECK (usage_estimated IN (0, 1)),
    cost               INTEGER,
    price_version      TEXT,
    cache_hit          INTEGER NOT NULL CHECK (cache_hit IN (0, 1)),
    attempts           INTEGER NOT NULL,
    error_code         TEXT,
    tags               TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(tags))
) STRICT;

CREATE INDEX spend_logs_by_key ON spend_logs (key_id, started_at) WHERE key_id IS NOT NULL;
CREATE INDEX spend_logs_by_user ON spend_logs (user_id, started_at) WHERE user_id IS NOT NULL;
CREATE INDEX spend_logs_by_request ON spend_logs (request_id) WHERE request_id IS NOT NULL;
