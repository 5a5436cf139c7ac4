"""What goes into a header is one line of text. No column changes."""

from django.db import migrations, models

import upstreams.models

FIELDS = {
    ("upstream", "auth_scheme"): models.CharField(
        max_length=50,
        blank=True,
        validators=[upstreams.models.header_value],
        help_text="Word before the key, such as Bearer. Empty beside an auth header: none.",
    ),
    ("upstreamcredential", "access_key_id"): models.CharField(
        verbose_name="access key id",
        max_length=200,
        blank=True,
        validators=[upstreams.models.header_value],
        help_text="AWS access key id (Bedrock only).",
    ),
}


class Migration(migrations.Migration):
    """Validators."""

    dependencies = (("upstreams", "0009_speak_of_keys"),)

    operations = tuple(
        migrations.AlterField(model_name=f"{history}{table}", name=name, field=field)
        for (table, name), field in FIELDS.items()
        for history in ("", "historical")
    )
