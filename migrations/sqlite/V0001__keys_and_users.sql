-- Who may call: people, and the virtual keys made for them.
-- Times are unix milliseconds, money is integer pico-USD (1e-12 USD).

CREATE TABLE users (
    id          TEXT    NOT NULL PRIMARY KEY,
    email       TEXT,
    role        TEXT    NOT NULL,
    max_budget  INTEGER CHECK (max_budget >= 0),
    created_at  INTEGER NOT NULL
) STRICT;

-- `user_id` is no foreign key: a key outlives its user, as LiteLLM's do.
CREATE TABLE virtual_keys (
    id            TEXT    NOT NULL PRIMARY KEY, -- SHA-256 of the secret, lower-case hex; the secret is never stored
    key_name      TEXT    NOT NULL,             -- "sk-..." and the secret's last four characters
    alias         TEXT    UNIQUE,
    user_id       TEXT,
    models        TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(models)),
    max_budget    INTEGER CHECK (max_budget >= 0),
    rpm_limit     INTEGER CHECK (rpm_limit >= 0),
    tpm_limit     INTEGER CHECK (tpm_limit >= 0),
    max_parallel  INTEGER CHECK (max_parallel >= 0),
    expires_at    INTEGER,
    blocked       INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    metadata      TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    created_at    INTEGER NOT NULL,
    created_by    TEXT
) STRICT;

CREATE INDEX virtual_keys_by_user ON virtual_keys (user_id, id);
