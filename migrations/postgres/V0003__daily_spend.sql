-- The roll-up that pages and totals read. It is written in the transaction that inserts the rows it counts.
-- `day` is in UTC, taken from the row's ULID. Absent names are '' so that the key is total.

CREATE TABLE trunkline.daily_spend (
    day                 date NOT NULL,
    key_id              text COLLATE "C" NOT NULL,
    user_id             text COLLATE "C" NOT NULL,
    model_group         text COLLATE "C" NOT NULL,
    model               text COLLATE "C" NOT NULL,
    provider            text COLLATE "C" NOT NULL,
    requests            bigint NOT NULL,
    successful          bigint NOT NULL,
    failed              bigint NOT NULL, -- with those whose outcome is unknown
    unpriced            bigint NOT NULL, -- requests whose cost is unknown: not part of `spend`
    prompt_tokens       bigint NOT NULL,
    completion_tokens   bigint NOT NULL,
    cache_read_tokens   bigint NOT NULL,
    cache_write_tokens  bigint NOT NULL,
    spend               numeric(38,12) NOT NULL,
    PRIMARY KEY (day, key_id, user_id, model_group, model, provider)
);

CREATE INDEX daily_spend_by_user ON trunkline.daily_spend (user_id, day);
CREATE INDEX daily_spend_by_key ON trunkline.daily_spend (key_id, day);
