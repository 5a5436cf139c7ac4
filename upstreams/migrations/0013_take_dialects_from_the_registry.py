"""The dialects of upstreams are those of the code's registry, so that a new one needs no migration."""

from django.db import migrations, models

import upstreams.models


def api_format() -> models.CharField:
    return models.CharField("API format", max_length=32, validators=[upstreams.models.dialect], default="openai_chat")


class Migration(migrations.Migration):
    """No column changes: choices are not part of the database."""

    dependencies = (("upstreams", "0012_plain_texts"),)

    operations = (
        migrations.AlterField(model_name="historicalupstream", name="dialect", field=api_format()),
        migrations.AlterField(model_name="upstream", name="dialect", field=api_format()),
    )
