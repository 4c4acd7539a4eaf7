-- Who may call: people, and the virtual keys made for them.
-- Times are unix milliseconds, money is USD to 1e-12. Ids are compared byte by byte: one order here and in the gateway.
-- The schema `trunkline` is there already: the table of applied migrations is in it.

CREATE TABLE trunkline.users (
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    email       text,
    role        text NOT NULL,
    max_budget  numeric(38,12) CHECK (max_budget >= 0),
    created_at  bigint NOT NULL
);

-- `user_id` is no foreign key: a key outlives its user, as LiteLLM's do.
CREATE TABLE trunkline.virtual_keys (
    id            text COLLATE "C" NOT NULL PRIMARY KEY, -- SHA-256 of the secret, lower-case hex; the secret is never stored
    key_name      text NOT NULL,             -- "sk-..." and the secret's last four characters
    alias         text UNIQUE,
    user_id       text COLLATE "C",
    models        json NOT NULL DEFAULT '[]',
    max_budget    numeric(38,12) CHECK (max_budget >= 0),
    rpm_limit     bigint CHECK (rpm_limit >= 0),
    tpm_limit     bigint CHECK (tpm_limit >= 0),
    max_parallel  bigint CHECK (max_parallel >= 0),
    expires_at    bigint,
    blocked       boolean NOT NULL DEFAULT false,
    metadata      json NOT NULL DEFAULT '{}',
    created_at    bigint NOT NULL,
    created_by    text
);

CREATE INDEX virtual_keys_by_user ON trunkline.virtual_keys (user_id, id);
