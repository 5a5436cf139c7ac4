"""No time is longer than a year: a clock can add no more than so much. What was stored before is cut down to that."""

from typing import Any

from django.db import migrations, models

import upstreams.models
from upstreams.validators import MAX_SECONDS as LONGEST_SECONDS

SOME = [upstreams.models.positive_seconds]
COOLDOWN = [upstreams.models.seconds]
UPSTREAM = {
    "connect_timeout_seconds": models.FloatField(default=10.0, validators=SOME),
    "first_byte_timeout_seconds": models.FloatField(default=300.0, validators=SOME, help_text="Until the answer begins."),
    "idle_timeout_seconds": models.FloatField(default=120.0, validators=SOME, help_text="Between two pieces of an answer."),
    "cooldown_seconds": models.FloatField(
        default=upstreams.models.cooldown_seconds, validators=COOLDOWN, help_text="How long a failing credential rests. 0: not at all."
    ),
}
MODEL = {
    "timeout_seconds": models.FloatField(
        null=True, blank=True, validators=SOME, help_text="Total time of a request. Empty: no limit."
    ),
    "cooldown_seconds": models.FloatField(null=True, blank=True, validators=COOLDOWN, help_text="Instead of the upstream's."),
}


def bound(apps: Any, _schema_editor: Any) -> None:
    """Cut what is longer; PostgreSQL counts what is no number at all as longer, too."""
    for table, columns in (("Upstream", UPSTREAM), ("Model", MODEL)):
        rows = apps.get_model("upstreams", table).objects
        for column in columns:
            rows.filter(**{f"{column}__gt": LONGEST_SECONDS}).update(**{column: LONGEST_SECONDS})
    apps.get_model("upstreams", "Model").objects.filter(temperature__gt=2.0).update(temperature=None)


class Migration(migrations.Migration):
    """Validators, and the rows that they would refuse."""

    dependencies = (("upstreams", "0006_note_tests_and_answers"),)

    operations = (
        migrations.RunPython(bound, migrations.RunPython.noop),
        *(
            migrations.AlterField(model_name=f"{history}{table}", name=name, field=field)
            for table, columns in (("upstream", UPSTREAM), ("model", MODEL))
            for name, field in columns.items()
            for history in ("", "historical")
        ),
    )
