-- What was copied out of another gateway's database.

-- A digest of each row as it was copied: a row that is another by now was changed here. `kind` is that of `tenants`, or
-- virtual_key.
CREATE TABLE trunkline.imported (
    kind    text NOT NULL,
    id      text COLLATE "C" NOT NULL,
    digest  text NOT NULL,
    PRIMARY KEY (kind, id)
);

-- What was spent in a window there: the window begins with it, as with what is older than its first charge.
CREATE TABLE trunkline.openings (
    subject_kind  text NOT NULL,
    subject_id    text COLLATE "C" NOT NULL,
    budget_id     text NOT NULL,
    generation    bigint NOT NULL,
    window_start  bigint NOT NULL,
    spent         numeric(38,12) NOT NULL, -- USD
    PRIMARY KEY (subject_kind, subject_id, budget_id, generation, window_start)
);
