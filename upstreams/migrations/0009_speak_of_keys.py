"""The admin speaks of keys wherever it means upstreams' credentials. No column changes."""

from django.db import migrations, models

import upstreams.models

FIELDS = {
    "auth_header": models.CharField(
        max_length=100,
        blank=True,
        validators=[upstreams.models.header_name],
        help_text="Header that carries the key. Empty: the protocol's own.",
    ),
    "auth_scheme": models.CharField(
        max_length=50, blank=True, help_text="Word before the key, such as Bearer. Empty beside an auth header: none."
    ),
    "cooldown_seconds": models.FloatField(
        default=upstreams.models.cooldown_seconds,
        validators=[upstreams.models.seconds],
        help_text="How long a failing key rests. 0: not at all.",
    ),
    "pass_client_credentials": models.BooleanField(
        default=False, verbose_name="pass the client's key on", help_text="Forward the client's own key instead of ours."
    ),
}


class Migration(migrations.Migration):
    """Texts."""

    dependencies = (("upstreams", "0008_call_things_one_name"),)

    operations = tuple(
        migrations.AlterField(model_name=table, name=name, field=field)
        for table in ("upstream", "historicalupstream")
        for name, field in FIELDS.items()
    )
