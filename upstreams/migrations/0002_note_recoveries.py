"""When somebody last found that a key or an upstream works again, and how long an upstream is kept back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns by which processes without Redis hear of it."""

    dependencies = (("upstreams", "0001_create_upstreams"),)

    operations = (
        migrations.AddField(
            model_name="upstream",
            name="resting_until",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="How long its circuit breaker, or a cooldown of the whole upstream, keeps it back.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="upstream",
            name="recovered_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When a check last ended such a rest.", null=True),
        ),
        migrations.AddField(
            model_name="upstreamcredential",
            name="recovered_at",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="When an admin or a check last said that it works again.", null=True
            ),
        ),
    )
