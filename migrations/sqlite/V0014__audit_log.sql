-- Who changed what: a line for each key or tenant that was made, changed or removed, written with the change. A line's hash is
-- SHA-256 over that of the line before and its own text, and the head knows the last one: a line that is changed, taken out or
-- put in is noticed. `before_value` and `updated_values` are JSON in one spelling, kept as text: they are part of what is hashed.

CREATE TABLE audit_log (
    seq             INTEGER NOT NULL PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    updated_at      INTEGER NOT NULL,
    changed_by      TEXT,
    changed_by_key  TEXT,
    action          TEXT    NOT NULL,
    table_name      TEXT    NOT NULL,
    object_id       TEXT    NOT NULL,
    before_value    TEXT,
    updated_values  TEXT,
    hash            TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_log_by_object ON audit_log (table_name, object_id, seq);

CREATE TABLE audit_head (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seq   INTEGER NOT NULL,
    hash  TEXT    NOT NULL
) STRICT;

INSERT INTO audit_head (one, seq, hash) VALUES (1, 0, '');
