-- Settings that are changed while the gateway runs (`store_model_in_db`), beside those of the config file: `router_settings.fallbacks`
-- as an object of models and their fallbacks, `general_settings.allowed_ips` as a list.

CREATE TABLE settings (
    name        TEXT    NOT NULL PRIMARY KEY,
    value       TEXT    NOT NULL CHECK (json_valid(value)),
    updated_at  INTEGER NOT NULL,
    updated_by  TEXT
) STRICT;
