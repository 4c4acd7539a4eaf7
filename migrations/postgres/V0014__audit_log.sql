-- Who changed what: a line for each key or tenant that was made, changed or removed, written with the change. A line's hash is
-- SHA-256 over that of the line before and its own text, and the head knows the last one: a line that is changed, taken out or
-- put in is noticed. `before_value` and `updated_values` are JSON in one spelling, kept as text: they are part of what is hashed.

CREATE TABLE trunkline.audit_log (
    seq             bigint NOT NULL PRIMARY KEY,
    id              text COLLATE "C" NOT NULL UNIQUE,
    updated_at      bigint NOT NULL,
    changed_by      text,
    changed_by_key  text,
    action          text NOT NULL,
    table_name      text NOT NULL,
    object_id       text COLLATE "C" NOT NULL,
    before_value    text,
    updated_values  text,
    hash            text NOT NULL
);

CREATE INDEX audit_log_by_object ON trunkline.audit_log (table_name, object_id, seq);

CREATE TABLE trunkline.audit_head (
    one   integer NOT NULL PRIMARY KEY CHECK (one = 1),
    seq   bigint NOT NULL,
    hash  text NOT NULL
);

INSERT INTO trunkline.audit_head (one, seq, hash) VALUES (1, 0, '');
