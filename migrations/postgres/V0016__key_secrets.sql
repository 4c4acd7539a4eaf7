-- The secrets of keys that were regenerated: such a key keeps its id, and with it its spend and its budgets, and is found by
-- the hash of its new secret. One that expires is the former secret, in its grace period. A key without a line here is found by
-- its id, which is the hash of its first secret.

CREATE TABLE trunkline.key_secrets (
    hash        text COLLATE "C" NOT NULL PRIMARY KEY,
    key_id      text COLLATE "C" NOT NULL,
    expires_at  bigint
);

CREATE INDEX key_secrets_by_key ON trunkline.key_secrets (key_id);
