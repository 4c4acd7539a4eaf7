-- Settings that are changed while the gateway runs (`store_model_in_db`), beside those of the config file: `router_settings.fallbacks`
-- as an object of models and their fallbacks, `general_settings.allowed_ips` as a list.

CREATE TABLE trunkline.settings (
    name        text COLLATE "C" PRIMARY KEY,
    value       json    NOT NULL,
    updated_at  bigint  NOT NULL,
    updated_by  text
);

CREATE FUNCTION trunkline.tell_setting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('trunkline.changes');
    PERFORM pg_notify('trunkline_changes', 'settings');
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON trunkline.settings
    FOR EACH ROW EXECUTE FUNCTION trunkline.tell_setting();
