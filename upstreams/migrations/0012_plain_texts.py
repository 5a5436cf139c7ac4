"""Help texts and names in plain technical English. No column changes."""

import accounts.common.model_fields
import upstreams.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('upstreams', '0011_note_claims_of_beat'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='historicalupstreamcredential',
            options={'get_latest_by': ('history_date', 'history_id'), 'ordering': ('-history_date', '-history_id'), 'verbose_name': 'historical credential', 'verbose_name_plural': 'historical credentials'},
        ),
        migrations.AlterModelOptions(
            name='upstreamcredential',
            options={'ordering': ('priority', 'created_at', 'id'), 'verbose_name': 'credential'},
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='aliases',
            field=models.JSONField(blank=True, default=list, help_text='Other names of the model; * stands for any text.', validators=[accounts.common.model_fields.strings]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='allow_anonymous',
            field=models.BooleanField(default=False, help_text="Clients need no pxbin key (they send the upstream's own)."),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='body_defaults',
            field=models.JSONField(blank=True, default=dict, help_text='Fields that are set if the client does not send them.', validators=[accounts.common.model_fields.json_object]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='body_extensions',
            field=models.JSONField(blank=True, default=dict, help_text='Fields that are merged into every request.', validators=[accounts.common.model_fields.json_object]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='buffer_tool_calls',
            field=models.BooleanField(default=False, help_text='Send a tool call of a stream only when it is complete.'),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='cooldown_seconds',
            field=models.FloatField(blank=True, help_text="Overrides the upstream's.", null=True, validators=[upstreams.models.seconds]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='fallbacks',
            field=models.JSONField(blank=True, default=list, help_text='Names of models that are tried when all routes of this one have failed.', validators=[accounts.common.model_fields.strings]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='hedge_after_ms',
            field=models.PositiveIntegerField(blank=True, help_text='Start a second attempt if the first has not answered by then. Empty: never.', null=True, verbose_name='hedge after (ms)'),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='name',
            field=models.CharField(help_text='The name that clients request. * stands for any text: claude-*haiku*.', max_length=200),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='path_prefix',
            field=models.CharField(blank=True, help_text='Served only below this path, such as /team-a. Empty: below /v1.', max_length=200, validators=[upstreams.models.path_prefix]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='provider',
            field=models.CharField(blank=True, help_text='Shown as the owner in model lists.', max_length=100),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='repair_tool_history',
            field=models.BooleanField(default=True, help_text='Insert a result for tool calls of the conversation that have none.'),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='smooth_streaming',
            field=models.BooleanField(default=False, help_text='Split long pieces of a stream into short ones.'),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='system_append',
            field=models.TextField(blank=True, help_text='Text to add after the system prompt.'),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='system_replacements',
            field=models.JSONField(blank=True, default=dict, help_text='Texts to replace in the system prompt: {old: new}.', validators=[upstreams.models.replacements]),
        ),
        migrations.AlterField(
            model_name='historicalmodel',
            name='tool_enforcement',
            field=models.JSONField(blank=True, default=dict, help_text='Retry responses without a tool call.', validators=[accounts.common.model_fields.json_object]),
        ),
        migrations.AlterField(
            model_name='historicalroute',
            name='context_window',
            field=models.PositiveIntegerField(blank=True, help_text='Tokens, if it differs at this upstream.', null=True),
        ),
        migrations.AlterField(
            model_name='historicalroute',
            name='remote_name',
            field=models.CharField(blank=True, help_text="The upstream's name of the model. Empty: the requested name. The n-th * takes what the n-th * of the model matched.", max_length=500),
        ),
        migrations.AlterField(
            model_name='historicalroute',
            name='weight',
            field=models.PositiveIntegerField(default=1, help_text='Share of the requests among routes of equal priority.'),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='auth_header',
            field=models.CharField(blank=True, help_text='Header for the credential. Empty: the one of the API format.', max_length=100, validators=[upstreams.models.header_name]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='auth_scheme',
            field=models.CharField(blank=True, help_text='Word before the credential, such as Bearer. Empty: the one of the API format, or none if an auth header is given.', max_length=50, validators=[upstreams.models.header_value]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='base_url',
            field=models.CharField(blank=True, help_text='For example https://api.openai.com/v1. If it does not end with /v1 or another version, /v1 is added.', max_length=500, validators=[upstreams.models.base_url], verbose_name='base URL'),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='capabilities',
            field=models.JSONField(blank=True, default=dict, help_text='What it does not support: {"images": false, "tools": false, "audio": false}.', validators=[upstreams.models.capabilities]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='cooldown_seconds',
            field=models.FloatField(default=upstreams.models.cooldown_seconds, help_text='How long a failing credential is tried only after others. 0: never.', validators=[upstreams.models.seconds]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='dialect',
            field=models.CharField(choices=[('openai_chat', 'OpenAI Chat Completions'), ('anthropic', 'Anthropic Messages'), ('openai_responses', 'OpenAI Responses'), ('bedrock', 'AWS Bedrock InvokeModel'), ('passthrough', 'Any (passed through untranslated)')], default='openai_chat', max_length=32, verbose_name='API format'),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='first_byte_timeout_seconds',
            field=models.FloatField(default=300.0, help_text='Until the response headers are complete.', validators=[upstreams.models.positive_seconds]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='idle_timeout_seconds',
            field=models.FloatField(default=120.0, help_text='Between two reads of the response body.', validators=[upstreams.models.positive_seconds]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='max_retries',
            field=models.PositiveSmallIntegerField(default=upstreams.models.max_retries, help_text='Retries after 429, 503 and failed connections.'),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='name',
            field=models.CharField(db_index=True, error_messages={'unique': 'An upstream with this name exists already.'}, max_length=200),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='pass_client_credentials',
            field=models.BooleanField(default=False, help_text="Send the client's own key instead of a stored one.", verbose_name="pass the client's key on"),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='quirks',
            field=models.JSONField(blank=True, default=dict, help_text='Deviations of this upstream from its API format, as JSON.', validators=[upstreams.models.quirks]),
        ),
        migrations.AlterField(
            model_name='historicalupstream',
            name='test_model',
            field=models.CharField(blank=True, help_text="The model that health checks call, by the upstream's name for it.", max_length=200),
        ),
        migrations.AlterField(
            model_name='model',
            name='aliases',
            field=models.JSONField(blank=True, default=list, help_text='Other names of the model; * stands for any text.', validators=[accounts.common.model_fields.strings]),
        ),
        migrations.AlterField(
            model_name='model',
            name='allow_anonymous',
            field=models.BooleanField(default=False, help_text="Clients need no pxbin key (they send the upstream's own)."),
        ),
        migrations.AlterField(
            model_name='model',
            name='body_defaults',
            field=models.JSONField(blank=True, default=dict, help_text='Fields that are set if the client does not send them.', validators=[accounts.common.model_fields.json_object]),
        ),
        migrations.AlterField(
            model_name='model',
            name='body_extensions',
            field=models.JSONField(blank=True, default=dict, help_text='Fields that are merged into every request.', validators=[accounts.common.model_fields.json_object]),
        ),
        migrations.AlterField(
            model_name='model',
            name='buffer_tool_calls',
            field=models.BooleanField(default=False, help_text='Send a tool call of a stream only when it is complete.'),
        ),
        migrations.AlterField(
            model_name='model',
            name='cooldown_seconds',
            field=models.FloatField(blank=True, help_text="Overrides the upstream's.", null=True, validators=[upstreams.models.seconds]),
        ),
        migrations.AlterField(
            model_name='model',
            name='fallbacks',
            field=models.JSONField(blank=True, default=list, help_text='Names of models that are tried when all routes of this one have failed.', validators=[accounts.common.model_fields.strings]),
        ),
        migrations.AlterField(
            model_name='model',
            name='hedge_after_ms',
            field=models.PositiveIntegerField(blank=True, help_text='Start a second attempt if the first has not answered by then. Empty: never.', null=True, verbose_name='hedge after (ms)'),
        ),
        migrations.AlterField(
            model_name='model',
            name='name',
            field=models.CharField(help_text='The name that clients request. * stands for any text: claude-*haiku*.', max_length=200),
        ),
        migrations.AlterField(
            model_name='model',
            name='path_prefix',
            field=models.CharField(blank=True, help_text='Served only below this path, such as /team-a. Empty: below /v1.', max_length=200, validators=[upstreams.models.path_prefix]),
        ),
        migrations.AlterField(
            model_name='model',
            name='provider',
            field=models.CharField(blank=True, help_text='Shown as the owner in model lists.', max_length=100),
        ),
        migrations.AlterField(
            model_name='model',
            name='repair_tool_history',
            field=models.BooleanField(default=True, help_text='Insert a result for tool calls of the conversation that have none.'),
        ),
        migrations.AlterField(
            model_name='model',
            name='smooth_streaming',
            field=models.BooleanField(default=False, help_text='Split long pieces of a stream into short ones.'),
        ),
        migrations.AlterField(
            model_name='model',
            name='system_append',
            field=models.TextField(blank=True, help_text='Text to add after the system prompt.'),
        ),
        migrations.AlterField(
            model_name='model',
            name='system_replacements',
            field=models.JSONField(blank=True, default=dict, help_text='Texts to replace in the system prompt: {old: new}.', validators=[upstreams.models.replacements]),
        ),
        migrations.AlterField(
            model_name='model',
            name='tool_enforcement',
            field=models.JSONField(blank=True, default=dict, help_text='Retry responses without a tool call.', validators=[accounts.common.model_fields.json_object]),
        ),
        migrations.AlterField(
            model_name='route',
            name='context_window',
            field=models.PositiveIntegerField(blank=True, help_text='Tokens, if it differs at this upstream.', null=True),
        ),
        migrations.AlterField(
            model_name='route',
            name='listed_context_window',
            field=models.PositiveIntegerField(blank=True, editable=False, help_text='Tokens, as the upstream lists the model.', null=True),
        ),
        migrations.AlterField(
            model_name='route',
            name='remote_name',
            field=models.CharField(blank=True, help_text="The upstream's name of the model. Empty: the requested name. The n-th * takes what the n-th * of the model matched.", max_length=500),
        ),
        migrations.AlterField(
            model_name='route',
            name='weight',
            field=models.PositiveIntegerField(default=1, help_text='Share of the requests among routes of equal priority.'),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='answered_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When it last completed a response.', null=True),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='auth_header',
            field=models.CharField(blank=True, help_text='Header for the credential. Empty: the one of the API format.', max_length=100, validators=[upstreams.models.header_name]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='auth_scheme',
            field=models.CharField(blank=True, help_text='Word before the credential, such as Bearer. Empty: the one of the API format, or none if an auth header is given.', max_length=50, validators=[upstreams.models.header_value]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='base_url',
            field=models.CharField(blank=True, help_text='For example https://api.openai.com/v1. If it does not end with /v1 or another version, /v1 is added.', max_length=500, validators=[upstreams.models.base_url], verbose_name='base URL'),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='capabilities',
            field=models.JSONField(blank=True, default=dict, help_text='What it does not support: {"images": false, "tools": false, "audio": false}.', validators=[upstreams.models.capabilities]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='check_claimed_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When a worker last started a scheduled health check.', null=True),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='cooldown_seconds',
            field=models.FloatField(default=upstreams.models.cooldown_seconds, help_text='How long a failing credential is tried only after others. 0: never.', validators=[upstreams.models.seconds]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='dialect',
            field=models.CharField(choices=[('openai_chat', 'OpenAI Chat Completions'), ('anthropic', 'Anthropic Messages'), ('openai_responses', 'OpenAI Responses'), ('bedrock', 'AWS Bedrock InvokeModel'), ('passthrough', 'Any (passed through untranslated)')], default='openai_chat', max_length=32, verbose_name='API format'),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='discovery_claimed_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When a worker last started a scheduled discovery.', null=True),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='first_byte_timeout_seconds',
            field=models.FloatField(default=300.0, help_text='Until the response headers are complete.', validators=[upstreams.models.positive_seconds]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='idle_timeout_seconds',
            field=models.FloatField(default=120.0, help_text='Between two reads of the response body.', validators=[upstreams.models.positive_seconds]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='max_retries',
            field=models.PositiveSmallIntegerField(default=upstreams.models.max_retries, help_text='Retries after 429, 503 and failed connections.'),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='name',
            field=models.CharField(error_messages={'unique': 'An upstream with this name exists already.'}, max_length=200, unique=True),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='pass_client_credentials',
            field=models.BooleanField(default=False, help_text="Send the client's own key instead of a stored one.", verbose_name="pass the client's key on"),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='quirks',
            field=models.JSONField(blank=True, default=dict, help_text='Deviations of this upstream from its API format, as JSON.', validators=[upstreams.models.quirks]),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='recovered_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When a health check or an admin last ended a cooldown.', null=True),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='resting_until',
            field=models.DateTimeField(blank=True, editable=False, help_text='End of the open circuit breaker or of a cooldown of the whole upstream.', null=True),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='test_error',
            field=models.TextField(blank=True, editable=False, help_text='Error of the last health check; empty if it passed.'),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='test_model',
            field=models.CharField(blank=True, help_text="The model that health checks call, by the upstream's name for it.", max_length=200),
        ),
        migrations.AlterField(
            model_name='upstream',
            name='tested_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='Time of the last health check.', null=True),
        ),
        migrations.AlterField(
            model_name='upstreamcredential',
            name='recovered_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When an admin or a health check last enabled it.', null=True),
        ),
        migrations.AlterConstraint(
            model_name='model',
            name='unique_model_name',
            constraint=models.UniqueConstraint(fields=('path_prefix', 'name'), name='unique_model_name', violation_error_code='unique', violation_error_message='A model with this name exists already.'),
        ),
    ]
