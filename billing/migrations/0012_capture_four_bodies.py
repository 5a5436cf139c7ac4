import uuid

from django.db import migrations, models

import billing.patterns


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0011_mark_over_budget'),
    ]

    operations = [
        migrations.RenameField('requestpayload', 'request_body', 'client_body'),
        migrations.RenameField('requestpayload', 'response_body', 'delivered_answer'),
        migrations.AddField('requestpayload', 'sent_body', models.TextField(blank=True, default=''), preserve_default=False),
        migrations.AddField('requestpayload', 'upstream_answer', models.TextField(blank=True, default=''), preserve_default=False),
        migrations.CreateModel(
            name='RedactionRule',
            fields=[
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(help_text='What the expression finds, for example: e-mail addresses.', max_length=200)),
                ('pattern', models.CharField(help_text='A regular expression of Python.', max_length=1000, validators=[billing.patterns.quick_pattern])),
                ('replacement', models.CharField(blank=True, default='***', help_text='The text that is stored instead.', max_length=200)),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
            ],
            options={
                'ordering': ('name', 'id'),
            },
        ),
    ]
