-- Which replicas of the gateway live, and what tells them that keys or tenants changed.

CREATE TABLE trunkline.replicas (
    id text COLLATE "C" PRIMARY KEY,
    -- By the clock of the database, which all replicas share.
    seen_at bigint NOT NULL
);

-- Counts changes, also those that are rolled back: a replica that missed what it was told sees by it that it must look.
CREATE SEQUENCE trunkline.changes;

CREATE FUNCTION trunkline.tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('trunkline.changes');
    IF TG_TABLE_NAME <> 'virtual_keys' THEN
        PERFORM pg_notify('trunkline_changes', 'tenants');
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('trunkline_changes', 'key ' || OLD.id);
    ELSE
        PERFORM pg_notify('trunkline_changes', 'key ' || NEW.id);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON trunkline.virtual_keys
    FOR EACH ROW EXECUTE FUNCTION trunkline.tell_change();

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON trunkline.tenants
    FOR EACH ROW EXECUTE FUNCTION trunkline.tell_change();
