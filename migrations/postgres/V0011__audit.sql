-- What an audit of the books asks for: the adjustments of a row, and how many requests of unknown cost a window began with.
-- It is NULL for windows that were made before this was counted.

CREATE INDEX spend_logs_by_adjusted ON trunkline.spend_logs (adjusts) WHERE adjusts IS NOT NULL;

ALTER TABLE trunkline.balances ADD COLUMN seeded_unpriced bigint;
