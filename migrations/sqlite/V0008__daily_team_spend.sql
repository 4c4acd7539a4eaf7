-- `daily_spend` without keys and users: what reports over teams, organisations and models are read from. With thousands of keys
-- it is a hundredth of the details.

CREATE TABLE daily_team_spend (
    day                 INTEGER NOT NULL,
    team_id             TEXT NOT NULL,
    organization_id     TEXT NOT NULL,
    model_group         TEXT NOT NULL,
    model               TEXT NOT NULL,
    provider            TEXT NOT NULL,
    call_type           TEXT NOT NULL,
    requests            INTEGER NOT NULL,
    successful          INTEGER NOT NULL,
    failed              INTEGER NOT NULL,
    unpriced            INTEGER NOT NULL,
    cache_hits          INTEGER NOT NULL,
    prompt_tokens       INTEGER NOT NULL,
    completion_tokens   INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_write_tokens  INTEGER NOT NULL,
    duration_ms         INTEGER NOT NULL,
    spend               INTEGER NOT NULL,
    PRIMARY KEY (day, team_id, organization_id, model_group, model, provider, call_type)
) STRICT, WITHOUT ROWID;

CREATE INDEX daily_team_spend_by_team ON daily_team_spend (team_id, day);
CREATE INDEX daily_team_spend_by_organization ON daily_team_spend (organization_id, day);

-- What is on the books already.
INSERT INTO daily_team_spend
    SELECT day, team_id, organization_id, model_group, model, provider, call_type,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM daily_spend GROUP BY day, team_id, organization_id, model_group, model, provider, call_type;
