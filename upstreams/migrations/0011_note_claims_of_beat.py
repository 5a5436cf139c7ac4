"""Which process has taken up what beat rang, so that several ask an upstream once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns of upstreams that routing does not read."""

    dependencies = (("upstreams", "0010_check_what_headers_carry"),)

    operations = (
        migrations.AddField(
            model_name="upstream",
            name="check_claimed_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When beat last had it checked.", null=True),
        ),
        migrations.AddField(
            model_name="upstream",
            name="discovery_claimed_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When beat last asked for its models.", null=True),
        ),
    )
