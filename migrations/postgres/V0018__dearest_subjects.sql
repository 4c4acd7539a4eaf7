-- SQLite's index has the sums in it. Here it must not: a line whose indexed columns change cannot be updated in place, and
-- lines of today change with every batch.
COMMENT ON INDEX trunkline.daily_subject_spend_by_day IS 'kind and day alone, so that updates of sums stay in place (HOT)';
