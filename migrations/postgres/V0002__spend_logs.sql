-- One row per request that reached a provider or was answered from the cache. Prompts and answers are never here.
-- `id` is our own ULID, so its order is the order of time; `request_id` is the provider's and not unique.
-- The usage parts are disjoint. `cost` is USD; NULL means that no price was known, which is not zero.

CREATE TABLE trunkline.spend_logs (
    day                date NOT NULL, -- of the id, in UTC
    id                 text COLLATE "C" NOT NULL,
    request_id         text,
    call_type          text NOT NULL,
    status             text NOT NULL CHECK (status IN ('success', 'failure', 'unknown')),
    key_id             text COLLATE "C",
    key_alias          text,
    user_id            text COLLATE "C",
    end_user           text,
    model_group        text COLLATE "C" NOT NULL,
    model              text NOT NULL,
    deployment         text,
    provider           text COLLATE "C" NOT NULL,
    api_base           text,
    stream             boolean NOT NULL,
    started_at         bigint NOT NULL,
    first_content_at   bigint,
    ended_at           bigint NOT NULL,
    input_uncached     bigint NOT NULL,
    cache_read         bigint NOT NULL,
    cache_write_5m     bigint NOT NULL,
    cache_write_1h     bigint NOT NULL,
    audio_input        bigint NOT NULL,
    image_input        bigint NOT NULL,
    output_text        bigint NOT NULL,
    reasoning          bigint NOT NULL,
    audio_output       bigint NOT NULL,
    prompt_tokens      bigint NOT NULL,
    completion_tokens  bigint NOT NULL,
    total_tokens       bigint NOT NULL,
    usage_estimated    boolean NOT NULL,
    cost               numeric(38,12),
    price_version      text,
    cache_hit          boolean NOT NULL,
    attempts           bigint NOT NULL,
    error_code         text,
    tags               jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);

-- Days get partitions when their first row comes (`spend_logs_20261123`). This one catches what none was made for, so that
-- an insert never fails for want of one.
CREATE TABLE trunkline.spend_logs_default PARTITION OF trunkline.spend_logs DEFAULT;

CREATE INDEX spend_logs_by_key ON trunkline.spend_logs (key_id, started_at) WHERE key_id IS NOT NULL;
CREATE INDEX spend_logs_by_user ON trunkline.spend_logs (user_id, started_at) WHERE user_id IS NOT NULL;
CREATE INDEX spend_logs_by_request ON trunkline.spend_logs (request_id) WHERE request_id IS NOT NULL;
