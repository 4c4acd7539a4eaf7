-- Deployments and credentials that are stored here and not in a config file (`store_model_in_db`). `params` are
-- `litellm_params`, or `credential_values`: what may be secret in them is encrypted with the salt key. `name` is the model group,
-- or what a credential is shown as.

CREATE TABLE entries (
    kind        TEXT    NOT NULL CHECK (kind IN ('model', 'credential')),
    id          TEXT    NOT NULL,
    name        TEXT,
    params      TEXT    NOT NULL CHECK (json_valid(params)),
    info        TEXT    NOT NULL CHECK (json_valid(info)),
    blocked     INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    created_by  TEXT,
    updated_at  INTEGER NOT NULL,
    updated_by  TEXT,
    PRIMARY KEY (kind, id)
) STRICT;
