-- `daily_spend` without keys and users: what reports over teams, organisations and models are read from. With thousands of keys
-- it is a hundredth of the details.

CREATE TABLE trunkline.daily_team_spend (
    day                 date NOT NULL,
    team_id             text COLLATE "C" NOT NULL,
    organization_id     text COLLATE "C" NOT NULL,
    model_group         text COLLATE "C" NOT NULL,
    model               text COLLATE "C" NOT NULL,
    provider            text COLLATE "C" NOT NULL,
    call_type           text COLLATE "C" NOT NULL,
    requests            bigint NOT NULL,
    successful          bigint NOT NULL,
    failed              bigint NOT NULL,
    unpriced            bigint NOT NULL,
    cache_hits          bigint NOT NULL,
    prompt_tokens       bigint NOT NULL,
    completion_tokens   bigint NOT NULL,
    cache_read_tokens   bigint NOT NULL,
    cache_write_tokens  bigint NOT NULL,
    duration_ms         bigint NOT NULL,
    spend               numeric(38,12) NOT NULL,
    PRIMARY KEY (day, team_id, organization_id, model_group, model, provider, call_type)
);

CREATE INDEX daily_team_spend_by_team ON trunkline.daily_team_spend (team_id, day);
CREATE INDEX daily_team_spend_by_organization ON trunkline.daily_team_spend (organization_id, day);

-- What is on the books already.
INSERT INTO trunkline.daily_team_spend
    SELECT day, team_id, organization_id, model_group, model, provider, call_type,
        sum(requests), sum(successful), sum(failed), sum(unpriced), sum(cache_hits), sum(prompt_tokens),
        sum(completion_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(duration_ms), sum(spend)
    FROM trunkline.daily_spend GROUP BY day, team_id, organization_id, model_group, model, provider, call_type;
