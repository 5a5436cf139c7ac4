"""Help texts and names in plain English. No column changes; the columns of the log are described in `LogColumns`."""

import billing.fields
import billing.models
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0003_call_things_one_name'),
        ('upstreams', '0011_note_claims_of_beat'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='requestpayload',
            options={'verbose_name': 'stored payload', 'verbose_name_plural': 'stored payloads'},
        ),
        migrations.AlterField(
            model_name='price',
            name='cache_read',
            field=billing.fields.MoneyField(blank=True, help_text='USD per million tokens read from a cache. Empty: the input price.', null=True),
        ),
        migrations.AlterField(
            model_name='price',
            name='cache_write_1h',
            field=billing.fields.MoneyField(blank=True, help_text='USD per million tokens written to a cache for 1 hour. Empty: the price for 5 minutes.', null=True),
        ),
        migrations.AlterField(
            model_name='price',
            name='cache_write_5m',
            field=billing.fields.MoneyField(blank=True, help_text='USD per million tokens written to a cache for 5 minutes. Empty: the input price.', null=True),
        ),
        migrations.AlterField(
            model_name='price',
            name='input',
            field=billing.fields.MoneyField(blank=True, help_text='USD per million input tokens that are neither read from nor written to a cache.', null=True),
        ),
        migrations.AlterField(
            model_name='price',
            name='name',
            field=models.CharField(blank=True, help_text='The remote name of the model at the upstream; used if no model is chosen.', max_length=500),
        ),
        migrations.AlterField(
            model_name='price',
            name='output',
            field=billing.fields.MoneyField(blank=True, help_text='USD per million output tokens, including reasoning.', null=True),
        ),
        migrations.AlterField(
            model_name='price',
            name='tiers',
            field=models.JSONField(blank=True, default=dict, help_text='{"prompt": [{"above": 200000, "input": "6"}], "service": {"flex": {"input": "1"}}}; rates that a tier does not list stay the same.', validators=[billing.models.price_tiers]),
        ),
        migrations.AlterField(
            model_name='price',
            name='upstream',
            field=models.ForeignKey(blank=True, help_text='Only for requests that this upstream answers. Empty: any upstream.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='prices', to='upstreams.upstream'),
        ),
        migrations.AlterField(
            model_name='price',
            name='version',
            field=models.CharField(blank=True, editable=False, help_text='The version of the source.', max_length=64),
        ),
        migrations.AlterField(
            model_name='requestattempt',
            name='status_code',
            field=models.IntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='attempts',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='cost',
            field=billing.fields.MoneyField(null=True),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='created_at',
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='dialect',
            field=models.CharField(blank=True, max_length=32),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='input_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='latency_ms',
            field=models.IntegerField(verbose_name='latency (ms)'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='model',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='output_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='overhead_us',
            field=models.IntegerField(verbose_name='overhead (µs)'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='remote_model',
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='request_id',
            field=models.CharField(max_length=128),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='routing',
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='status_code',
            field=models.IntegerField(verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='timestamp',
            field=models.DateTimeField(),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='upstream_dialect',
            field=models.CharField(blank=True, max_length=32),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='usage_estimated',
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name='requestpayload',
            name='truncated',
            field=models.BooleanField(default=False, help_text='A body was longer than the limit and was cut.'),
        ),
        migrations.AlterField(
            model_name='storedresponse',
            name='api_key_id',
            field=models.UUIDField(help_text='Only this key may read the turn or refer to it.'),
        ),
        migrations.AlterField(
            model_name='storedresponse',
            name='previous_id',
            field=models.CharField(blank=True, help_text='The turn before this one.', max_length=200),
        ),
        migrations.AlterConstraint(
            model_name='price',
            name='price_of_something',
            constraint=models.CheckConstraint(condition=models.Q(('model__isnull', False), models.Q(('name', ''), _negated=True), _connector='OR'), name='price_of_something', violation_error_message='Choose a model or enter a name.'),
        ),
    ]
