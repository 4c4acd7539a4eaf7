-- The secrets of keys that were regenerated: such a key keeps its id, and with it its spend and its budgets, and is found by
-- the hash of its new secret. One that expires is the former secret, in its grace period. A key without a line here is found by
-- its id, which is the hash of its first secret.

CREATE TABLE key_secrets (
    hash        TEXT    NOT NULL PRIMARY KEY,
    key_id      TEXT    NOT NULL,
    expires_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX key_secrets_by_key ON key_secrets (key_id);
