-- SQLite makes its table anew without checks that cost a third of an insert. Here a list in a CHECK costs next to nothing.
COMMENT ON COLUMN trunkline.spend_logs.status IS 'success, failure, unknown or adjustment';
