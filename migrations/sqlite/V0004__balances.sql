-- What was charged to a subject in one budget window. A reset is a new generation, never an update to zero.
-- `budget_id` is '' for the subject's own budget; `window_start` 0 is the window without an end.
-- A window without a row is summed from the books, and its row starts with that sum.

CREATE TABLE balances (
    subject_kind  TEXT    NOT NULL,
    subject_id    TEXT    NOT NULL,
    budget_id     TEXT    NOT NULL,
    generation    INTEGER NOT NULL,
    window_start  INTEGER NOT NULL,
    charged       INTEGER NOT NULL, -- pico-USD
    unpriced      INTEGER NOT NULL, -- requests whose cost is unknown: not part of `charged`
    PRIMARY KEY (subject_kind, subject_id, budget_id, generation, window_start)
) STRICT, WITHOUT ROWID;
