from django.db import migrations

# The record is append-only: not even the portal's own code changes or deletes a row of it.
BAR = """
CREATE FUNCTION activity_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The record is append-only: % of % is barred', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER activity_bar BEFORE UPDATE OR DELETE ON accounts_activity
    FOR EACH ROW EXECUTE FUNCTION activity_is_append_only();
CREATE TRIGGER seal_bar BEFORE UPDATE OR DELETE ON accounts_seal
    FOR EACH ROW EXECUTE FUNCTION activity_is_append_only();
"""
UNBAR = """
DROP TRIGGER activity_bar ON accounts_activity;
DROP TRIGGER seal_bar ON accounts_seal;
DROP FUNCTION activity_is_append_only();
"""
NUMBERS = "CREATE SEQUENCE number_ro START 1042; CREATE SEQUENCE number_fo START 2228;"
NO_NUMBERS = "DROP SEQUENCE number_ro; DROP SEQUENCE number_fo;"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(BAR, UNBAR), migrations.RunSQL(NUMBERS, NO_NUMBERS)]
