-- What a cost can be recomputed from, by whom else it is asked for, and which budgets it was charged to.

ALTER TABLE trunkline.spend_logs
    DROP CONSTRAINT spend_logs_status_check,
    ADD CONSTRAINT spend_logs_status_check CHECK (status IN ('success', 'failure', 'unknown', 'adjustment')),
    ADD COLUMN team_id          text COLLATE "C",
    ADD COLUMN organization_id  text COLLATE "C",
    ADD COLUMN client_ip        text,
    ADD COLUMN pieces           json, -- what was billed by the piece
    ADD COLUMN service_tier     text, -- NULL is the standard one
    ADD COLUMN price_id         text COLLATE "C", -- of `prices`
    ADD COLUMN adjusts          text COLLATE "C", -- the row that an adjustment corrects
    ADD COLUMN budgets          json NOT NULL DEFAULT '[]'; -- the windows that were charged

-- Ids sort by time, so pages of a subject's rows are read along these.
DROP INDEX trunkline.spend_logs_by_key;
DROP INDEX trunkline.spend_logs_by_user;
CREATE INDEX spend_logs_by_key ON trunkline.spend_logs (key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX spend_logs_by_user ON trunkline.spend_logs (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX spend_logs_by_team ON trunkline.spend_logs (team_id, id) WHERE team_id IS NOT NULL;
CREATE INDEX spend_logs_by_end_user ON trunkline.spend_logs (end_user, id) WHERE end_user IS NOT NULL;

-- The prices that rows were made with, each once. `sheet` is text that `trunkline explain` reads.
CREATE TABLE trunkline.prices (
    id     text COLLATE "C" NOT NULL PRIMARY KEY, -- a digest of `sheet`
    sheet  text NOT NULL
);
