-- What a window began with: `seeded` is the part of `charged` that no row names, because it was spent before the first
-- charge came; `carried` comes on top, from the window before. It is NULL until that was asked for.

ALTER TABLE balances ADD COLUMN seeded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE balances ADD COLUMN carried INTEGER;
