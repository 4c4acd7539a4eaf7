-- What was spent by day, three ways. All are written in the transaction that inserts the rows which they count; days are in
-- UTC, taken from the row's ULID. Absent names are '' so that the keys are total.
--   daily_subject_spend  one line a day for each subject: budgets and totals are read from here
--   daily_spend          every combination of who and what: break-downs
--   daily_label_spend    the same by the labels that clients put on requests, of which one has several

CREATE TABLE trunkline.daily_subject_spend (
    kind                text COLLATE "C" NOT NULL,
    subject             text COLLATE "C" NOT NULL,
    day                 date NOT NULL,
    requests            bigint NOT NULL,
    successful          bigint NOT NULL,
    failed              bigint NOT NULL, -- with those whose outcome is unknown
    unpriced            bigint NOT NULL, -- requests whose cost is unknown: not part of `spend`
    cache_hits          bigint NOT NULL,
    prompt_tokens       bigint NOT NULL,
    completion_tokens   bigint NOT NULL,
    cache_read_tokens   bigint NOT NULL,
    cache_write_tokens  bigint NOT NULL,
    duration_ms         bigint NOT NULL, -- of all requests together
    spend               numeric(38,12) NOT NULL,
    PRIMARY KEY (kind, subject, day)
);

CREATE INDEX daily_subject_spend_by_day ON trunkline.daily_subject_spend (kind, day);

-- `kind` is `tag` or `end_user`.
CREATE TABLE trunkline.daily_label_spend (
    kind                text COLLATE "C" NOT NULL,
    label               text COLLATE "C" NOT NULL,
    day                 date NOT NULL,
    key_id              text COLLATE "C" NOT NULL,
    model_group         text COLLATE "C" NOT NULL,
    model               text COLLATE "C" NOT NULL,
    provider            text COLLATE "C" NOT NULL,
    call_type           text COLLATE "C" NOT NULL,
    requests            bigint NOT NULL,
    successful          bigint NOT NULL,
    failed              bigint NOT NULL, -- with those whose outcome is unknown
    unpriced            bigint NOT NULL, -- requests whose cost is unknown: not part of `spend`
    cache_hits          bigint NOT NULL,
    prompt_tokens       bigint NOT NULL,
    completion_tokens   bigint NOT NULL,
    cache_read_tokens   bigint NOT NULL,
    cache_write_tokens  bigint NOT NULL,
    duration_ms         bigint NOT NULL, -- of all requests together
    spend               numeric(38,12) NOT NULL,
    PRIMARY KEY (kind, label, day, key_id, model_group, model, provider, call_type)
);

CREATE TABLE trunkline.daily_details (
    day                 date NOT NULL,
    key_id              text COLLATE "C" NOT NULL,
    user_id             text COLLATE "C" NOT NULL,
    team_id             text COLLATE "C" NOT NULL,
    organization_id     text COLLATE "C" NOT NULL,
    model_group         text COLLATE "C" NOT NULL,
    model               text COLLATE "C" NOT NULL,
    provider            text COLLATE "C" NOT NULL,
    call_type           text COLLATE "C" NOT NULL,
    requests            bigint NOT NULL,
    successful          bigint NOT NULL,
    failed              bigint NOT NULL, -- with those whose outcome is unknown
    unpriced            bigint NOT NULL, -- requests whose cost is unknown: not part of `spend`
    cache_hits          bigint NOT NULL,
    prompt_tokens       bigint NOT NULL,
    completion_tokens   bigint NOT NULL,
    cache_read_tokens   bigint NOT NULL,
    cache_write_tokens  bigint NOT NULL,
    duration_ms         bigint NOT NULL, -- of all requests together
    spend               numeric(38,12) NOT NULL,
    PRIMARY KEY (day, key_id, user_id, team_id, organization_id, model_group, model, provider, call_type)
);

-- What is on the books already.
INSERT INTO trunkline.daily_details
    SELECT day, coalesce(key_id, ''), coalesce(user_id, ''), '', '', model_group, model, provider, call_type,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), count(*) FILTER (WHERE cache_hit), sum(prompt_tokens), sum(completion_tokens),
        sum(cache_read), sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM trunkline.spend_logs GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;

INSERT INTO trunkline.daily_label_spend
    SELECT 'end_user', end_user, day, coalesce(key_id, ''), model_group, model, provider, call_type,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), count(*) FILTER (WHERE cache_hit), sum(prompt_tokens), sum(completion_tokens),
        sum(cache_read), sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM trunkline.spend_logs WHERE end_user IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

INSERT INTO trunkline.daily_label_spend
    SELECT 'tag', label, day, coalesce(key_id, ''), model_group, model, provider, call_type,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), count(*) FILTER (WHERE cache_hit), sum(prompt_tokens), sum(completion_tokens),
        sum(cache_read), sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM (SELECT DISTINCT ON (day, id, tag.name) spend_logs.*, tag.name AS label FROM trunkline.spend_logs, jsonb_array_elements_text(tags) AS tag(name)) AS labelled GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

INSERT INTO trunkline.daily_subject_spend
    SELECT 'global', '', day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_details GROUP BY day;

INSERT INTO trunkline.daily_subject_spend
    SELECT 'api_key', key_id, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_details WHERE key_id <> '' GROUP BY key_id, day;

INSERT INTO trunkline.daily_subject_spend
    SELECT 'user', user_id, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_details WHERE user_id <> '' GROUP BY user_id, day;

INSERT INTO trunkline.daily_subject_spend
    SELECT 'model', model_group, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_details WHERE model_group <> '' GROUP BY model_group, day;

INSERT INTO trunkline.daily_subject_spend
    SELECT 'provider', provider, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_details WHERE provider <> '' GROUP BY provider, day;

INSERT INTO trunkline.daily_subject_spend
    SELECT kind, label, day,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_label_spend GROUP BY kind, label, day;

INSERT INTO trunkline.daily_subject_spend
    SELECT 'deployment', deployment, day,
        count(*), count(*) FILTER (WHERE status = 'success'), count(*) - count(*) FILTER (WHERE status = 'success'),
        count(*) - count(cost), count(*) FILTER (WHERE cache_hit), sum(prompt_tokens), sum(completion_tokens),
        sum(cache_read), sum(cache_write_5m + cache_write_1h), sum(ended_at - started_at), coalesce(sum(cost), 0)
    FROM trunkline.spend_logs WHERE deployment IS NOT NULL GROUP BY 2, 3;

DROP TABLE trunkline.daily_spend;
ALTER TABLE trunkline.daily_details RENAME TO daily_spend;

CREATE INDEX daily_spend_by_key ON trunkline.daily_spend (key_id, day);
CREATE INDEX daily_spend_by_user ON trunkline.daily_spend (user_id, day);
CREATE INDEX daily_spend_by_team ON trunkline.daily_spend (team_id, day);
CREATE INDEX daily_spend_by_organization ON trunkline.daily_spend (organization_id, day);
