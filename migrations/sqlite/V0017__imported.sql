-- What was copied out of another gateway's database.

-- A digest of each row as it was copied: a row that is another by now was changed here. `kind` is that of `tenants`, or
-- virtual_key.
CREATE TABLE imported (
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    digest  TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- What was spent in a window there: the window begins with it, as with what is older than its first charge.
CREATE TABLE openings (
    subject_kind  TEXT NOT NULL,
    subject_id    TEXT NOT NULL,
    budget_id     TEXT NOT NULL,
    generation    INTEGER NOT NULL,
    window_start  INTEGER NOT NULL,
    spent         INTEGER NOT NULL, -- pico-USD
    PRIMARY KEY (subject_kind, subject_id, budget_id, generation, window_start)
) STRICT, WITHOUT ROWID;
