-- When the secret of a key is to be replaced by another one, and how often that was done. A key that nobody wants to be
-- regenerated regularly has no `rotation_due_at`.

ALTER TABLE trunkline.virtual_keys ADD COLUMN rotation_interval text;
ALTER TABLE trunkline.virtual_keys ADD COLUMN rotation_due_at bigint;
ALTER TABLE trunkline.virtual_keys ADD COLUMN rotation_count bigint NOT NULL DEFAULT 0 CHECK (rotation_count >= 0);
ALTER TABLE trunkline.virtual_keys ADD COLUMN last_rotation_at bigint;

CREATE INDEX virtual_keys_by_rotation ON trunkline.virtual_keys (rotation_due_at) WHERE rotation_due_at IS NOT NULL;
