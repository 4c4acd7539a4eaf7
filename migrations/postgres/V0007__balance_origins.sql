-- What a window began with: `seeded` is the part of `charged` that no row names, because it was spent before the first
-- charge came; `carried` comes on top, from the window before. It is NULL until that was asked for.

ALTER TABLE trunkline.balances ADD COLUMN seeded numeric(38,12) NOT NULL DEFAULT 0;
ALTER TABLE trunkline.balances ADD COLUMN carried numeric(38,12);
