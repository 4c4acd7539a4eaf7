-- A row costs every request. For a CHECK with a list of more than two values SQLite makes a table at each row that is
-- inserted and drops it again, and JSON that the gateway has just written was parsed again: together a third of the insert.
-- A CHECK cannot be changed: the table is made anew, which takes a while for large books.

CREATE TABLE spend_rows (
    id                 TEXT    NOT NULL PRIMARY KEY,
    request_id         TEXT,
    call_type          TEXT    NOT NULL,
    status             TEXT    NOT NULL CHECK (
                           status = 'success' OR status = 'failure' OR status = 'unknown' OR status = 'adjustment'),
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
    tags               TEXT    NOT NULL DEFAULT '[]', -- JSON
    team_id            TEXT,
    organization_id    TEXT,
    client_ip          TEXT,
    pieces             TEXT,   -- JSON: what was billed by the piece
    service_tier       TEXT,   -- NULL is the standard one
    price_id           TEXT,   -- of `prices`
    adjusts            TEXT,   -- the row that an adjustment corrects
    budgets            TEXT    NOT NULL DEFAULT '[]' -- JSON: the windows that were charged
) STRICT;

INSERT INTO spend_rows (
        id, request_id, call_type, status, key_id, key_alias, user_id, end_user, model_group, model, deployment,
        provider, api_base, stream, started_at, first_content_at, ended_at, input_uncached, cache_read,
        cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, audio_output, prompt_tokens,
        completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, attempts, error_code, tags,
        team_id, organization_id, client_ip, pieces, service_tier, price_id, adjusts, budgets
    )
    SELECT
        id, request_id, call_type, status, key_id, key_alias, user_id, end_user, model_group, model, deployment,
        provider, api_base, stream, started_at, first_content_at, ended_at, input_uncached, cache_read,
        cache_write_5m, cache_write_1h, audio_input, image_input, output_text, reasoning, audio_output, prompt_tokens,
        completion_tokens, total_tokens, usage_estimated, cost, price_version, cache_hit, attempts, error_code, tags,
        team_id, organization_id, client_ip, pieces, service_tier, price_id, adjusts, budgets
    FROM spend_logs;

DROP TABLE spend_logs;
ALTER TABLE spend_rows RENAME TO spend_logs;

-- Ids sort by time, so pages of a subject's rows are read along these.
CREATE INDEX spend_logs_by_key ON spend_logs (key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX spend_logs_by_user ON spend_logs (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX spend_logs_by_team ON spend_logs (team_id, id) WHERE team_id IS NOT NULL;
CREATE INDEX spend_logs_by_end_user ON spend_logs (end_user, id) WHERE end_user IS NOT NULL;
CREATE INDEX spend_logs_by_request ON spend_logs (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX spend_logs_by_adjusted ON spend_logs (adjusts) WHERE adjusts IS NOT NULL;
