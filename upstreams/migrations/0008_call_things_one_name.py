"""One word for each thing: credentials are upstream keys, dialects are protocols. No column changes."""

from django.db import migrations, models

DIALECTS = [
    ("openai_chat", "OpenAI Chat Completions"),
    ("anthropic", "Anthropic Messages"),
    ("openai_responses", "OpenAI Responses"),
    ("bedrock", "AWS Bedrock InvokeModel"),
    ("passthrough", "Any (passed through untranslated)"),
]
TAKEN = {"unique": "An upstream of this name exists already."}


def dialect() -> models.CharField:
    """The column as it is."""
    return models.CharField(choices=DIALECTS, default="openai_chat", max_length=32, verbose_name="protocol")


class Migration(migrations.Migration):
    """Names and messages."""

    dependencies = (("upstreams", "0007_bound_times"),)

    operations = (
        migrations.AlterModelOptions(
            name="historicalupstreamcredential",
            options={
                "get_latest_by": ("history_date", "history_id"),
                "ordering": ("-history_date", "-history_id"),
                "verbose_name": "historical upstream key",
                "verbose_name_plural": "historical upstream keys",
            },
        ),
        migrations.AlterModelOptions(
            name="upstreamcredential", options={"ordering": ("priority", "created_at", "id"), "verbose_name": "upstream key"}
        ),
        migrations.AlterField(model_name="historicalupstream", name="dialect", field=dialect()),
        migrations.AlterField(model_name="upstream", name="dialect", field=dialect()),
        migrations.AlterField(
            model_name="historicalupstream", name="name", field=models.CharField(db_index=True, error_messages=TAKEN, max_length=200)
        ),
        migrations.AlterField(
            model_name="upstream", name="name", field=models.CharField(error_messages=TAKEN, max_length=200, unique=True)
        ),
    )
