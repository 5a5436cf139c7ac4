"""New upstreams have the cooldown of PXBIN_KEY_COOLDOWN_SECONDS; those that exist keep theirs."""

import django.core.validators
from django.db import migrations, models

import upstreams.models

COOLDOWN = models.FloatField(
    default=upstreams.models.cooldown_seconds,
    help_text="How long a failing credential rests. 0: not at all.",
    validators=[django.core.validators.MinValueValidator(0.0)],
)


class Migration(migrations.Migration):
    """The default of a column."""

    dependencies = (("upstreams", "0003_keep_listed_context_windows"),)

    operations = tuple(
        migrations.AlterField(model_name=name, name="cooldown_seconds", field=COOLDOWN) for name in ("historicalupstream", "upstream")
    )
