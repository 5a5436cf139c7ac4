"""The context window that an upstream itself gives for a model, as discovery heard it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column of routes."""

    dependencies = (("upstreams", "0002_note_recoveries"),)

    operations = (
        migrations.AddField(
            model_name="route",
            name="listed_context_window",
            field=models.PositiveIntegerField(blank=True, editable=False, help_text="What the upstream itself says.", null=True),
        ),
    )
