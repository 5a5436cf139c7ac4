"""New upstreams repeat as PXBIN_RETRY_MAX_ATTEMPTS and PXBIN_RETRY_BASE_DELAY_MS say; those that exist keep theirs."""

from django.db import migrations, models

import upstreams.models

COLUMNS = {
    "max_retries": models.PositiveSmallIntegerField(
        default=upstreams.models.max_retries, help_text="Repeats after 429, 503 and failed connections."
    ),
    "retry_base_delay_ms": models.PositiveIntegerField(default=upstreams.models.retry_base_delay_ms, verbose_name="retry base delay (ms)"),
}


class Migration(migrations.Migration):
    """The defaults of two columns."""

    dependencies = (("upstreams", "0004_default_cooldowns_to_the_setting"),)

    operations = tuple(
        migrations.AlterField(model_name=model, name=name, field=field)
        for name, field in COLUMNS.items()
        for model in ("historicalupstream", "upstream")
    )
