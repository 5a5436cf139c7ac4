"""When an upstream last answered a request, and what its last test found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns of upstreams that routing does not read."""

    dependencies = (("upstreams", "0005_default_retries_to_the_settings"),)

    operations = (
        migrations.AddField(
            model_name="upstream",
            name="answered_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When it last answered a request.", null=True),
        ),
        migrations.AddField(
            model_name="upstream",
            name="tested_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When a check last called it.", null=True),
        ),
        migrations.AddField(
            model_name="upstream",
            name="test_error",
            field=models.TextField(blank=True, default="", editable=False, help_text="What was the matter then; empty: it was well."),
            preserve_default=False,
        ),
    )
