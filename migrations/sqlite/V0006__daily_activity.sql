-- What was spent by day, three ways. All are written in the transaction that inserts the rows which they count; days are in
-- UTC, taken from the row's ULID. Absent names are '' so that the keys are total.
--   daily_subject_spend  one line a day for each subject: budgets and totals are read from here
--   daily_spend          every combination of who and what: break-downs
--   daily_label_spend    the same by the labels that clients put on requests, of which one has several

CREATE TABLE daily_subject_spend (
    kind                TEXT NOT NULL,
    subject             TEXT NOT NULL,
    day                 INTEGER NOT NULL,
    requests            INTEGER NOT NULL,
    successful          INTEGER NOT NULL,
    failed              INTEGER NOT NULL, -- with those whose outcome is unknown
    unpriced            INTEGER NOT NULL, -- requests whose cost is unknown: not part of `spend`
    cache_hits          INTEGER NOT NULL,
    prompt_tokens       INTEGER NOT NULL,
    completion_tokens   INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    duration_ms         INTEGER NOT NULL, -- of all requests together
    spend               INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX daily_subject_spend_by_day ON daily_subject_spend (kind, day);

-- `kind` is `tag` or `end_user`.
CREATE TABLE daily_label_spend (
    kind                TEXT NOT NULL,
    label               TEXT NOT NULL,
    day                 INTEGER NOT NULL,
    key_id              TEXT NOT NULL,
    model_group         TEXT NOT NULL,
    model               TEXT NOT NULL,
    provider            TEXT NOT NULL,
    call_type           TEXT NOT NULL,
    requests            INTEGER NOT NULL,
    successful          INTEGER NOT NULL,
    failed              INTEGER NOT NULL, -- with those whose outcome is unknown
    unpriced            INTEGER NOT NULL, -- requests whose cost is unknown: not part of `spend`
    cache_hits          INTEGER NOT NULL,
    prompt_tokens       INTEGER NOT NULL,
    completion_tokens   INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    duration_ms         INTEGER NOT NULL, -- of all requests together
    spend               INTEGER NOT NULL,
    PRIMARY KEY (kind, label, day, key_id, model_group, model, provider, call_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE daily_details (
    day                 INTEGER NOT NULL,
    key_id              TEXT NOT NULL,
    user_id             TEXT NOT NULL,
    team_id             TEXT NOT NULL,
    organization_id     TEXT NOT NULL,
    model_group         TEXT NOT NULL,
    model               TEXT NOT NULL,
    provider            TEXT NOT NULL,
    call_type           TEXT NOT NULL,
    requests            INTEGER NOT NULL,
    successful          INTEGER NOT NULL,
    failed              INTEGER NOT NULL, -- with those whose outcome is unknown
    unpriced            INTEGER NOT NULL, -- requests whose cost is unknown: not part of `spend`
    cache_hits          INTEGER NOT NULL,
    prompt_tokens       INTEGER NOT NULL,
    completion_tokens   INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    duration_ms         INTEGER NOT NULL, -- of all requests together
    spend               INTEGER NOT NULL,
    PRIMARY KEY (day, key_id, user_id, team_id, organization_id, model_group, model, provider, call_type)
) STRICT, WITHOUT ROWID;

-- What is on the books already.
INSERT INTO daily_details
    SELECT started_at / 86400000, coalesce(key_id, ''), coalesce(user_id, ''), '', '', model_group, model, provider, call_type,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), sum(cache_hit), sum(prompt_tokens), sum(completion_tokens), sum(cache_read),
        sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM spend_logs GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;

INSERT INTO daily_label_spend
    SELECT 'end_user', end_user, started_at / 86400000, coalesce(key_id, ''), model_group, model, provider, call_type,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), sum(cache_hit), sum(prompt_tokens), sum(completion_tokens), sum(cache_read),
        sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM spend_logs WHERE end_user IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

INSERT INTO daily_label_spend
    SELECT 'tag', label, started_at / 86400000, coalesce(key_id, ''), model_group, model, provider, call_type,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), sum(cache_hit), sum(prompt_tokens), sum(completion_tokens), sum(cache_read),
        sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM (SELECT DISTINCT spend_logs.*, tag.value AS label FROM spend_logs, json_each(tags) AS tag) AS labelled GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

INSERT INTO daily_subject_spend
    SELECT 'global', '', day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_details GROUP BY day;

INSERT INTO daily_subject_spend
    SELECT 'api_key', key_id, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_details WHERE key_id <> '' GROUP BY key_id, day;

INSERT INTO daily_subject_spend
    SELECT 'user', user_id, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_details WHERE user_id <> '' GROUP BY user_id, day;

INSERT INTO daily_subject_spend
    SELECT 'model', model_group, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_details WHERE model_group <> '' GROUP BY model_group, day;

INSERT INTO daily_subject_spend
    SELECT 'provider', provider, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_details WHERE provider <> '' GROUP BY provider, day;

INSERT INTO daily_subject_spend
    SELECT kind, label, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_label_spend GROUP BY kind, label, day;

INSERT INTO daily_subject_spend
    SELECT 'deployment', deployment, started_at / 86400000,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), sum(cache_hit), sum(prompt_tokens), sum(completion_tokens), sum(cache_read),
        sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM spend_logs WHERE deployment IS NOT NULL GROUP BY 2, 3;

DROP TABLE daily_spend;
ALTER TABLE daily_details RENAME TO daily_spend;

CREATE INDEX daily_spend_by_key ON daily_spend (key_id, day);
CREATE INDEX daily_spend_by_user ON daily_spend (user_id, day);
CREATE INDEX daily_spend_by_team ON daily_spend (team_id, day);
CREATE INDEX daily_spend_by_organization ON daily_spend (organization_id, day);
