-- What was charged to a subject in one budget window. A reset is a new generation, never an update to zero.
-- `budget_id` is '' for the subject's own budget; `window_start` 0 is the window without an end.
-- A window without a row is summed from the books, and its row starts with that sum.

CREATE TABLE trunkline.balances (
    subject_kind  text NOT NULL,
    subject_id    text COLLATE "C" NOT NULL,
    budget_id     text NOT NULL,
    generation    bigint NOT NULL,
    window_start  bigint NOT NULL,
    charged       numeric(38,12) NOT NULL, -- USD
    unpriced      bigint NOT NULL, -- requests whose cost is unknown: not part of `charged`
    PRIMARY KEY (subject_kind, subject_id, budget_id, generation, window_start)
);
