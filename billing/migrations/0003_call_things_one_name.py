"""One word for each thing: rows of the log are requests. No column changes."""

from django.db import migrations


class Migration(migrations.Migration):
    """Names."""

    dependencies = (("billing", "0002_keep_responses"),)

    operations = (
        migrations.AlterModelOptions(name="requestlog", options={"ordering": ("-timestamp", "-id"), "verbose_name": "request"}),
        migrations.AlterModelOptions(name="requestpayload", options={"verbose_name": "kept bodies", "verbose_name_plural": "kept bodies"}),
    )
