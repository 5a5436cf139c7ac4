"""Django's settings, derived from `Config`. Only this module reads the environment."""

import os
from collections import ChainMap
from datetime import timedelta
from pathlib import Path

from billing import schedule as billing_schedule
from pxbin_site.conf import admin_theme, databases, loading, login_limits, secrets_file, sources
from pxbin_site.conf.logs import logging_config
from upstreams import schedule as upstreams_schedule

BASE_DIR = Path(__file__).resolve().parent.parent
# An installed package has no directory of its own for files: they are where the gateway is started.
DIRECTORY = BASE_DIR if (BASE_DIR / "manage.py").exists() else Path.cwd()
PXBIN = secrets_file.complete(loading.load(os.environ, directory=DIRECTORY))

VARIABLES = ChainMap(os.environ, sources.env_file_variables(os.environ, directory=BASE_DIR))
"""The environment and, below it, `.env`: configuration files of this and other gateways refer to secrets there."""

DEBUG = PXBIN.debug
SECRET_KEY = PXBIN.secret_key
ALLOWED_HOSTS = list(PXBIN.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(PXBIN.trusted_origins)

INSTALLED_APPS = [
    "pxbin_site",  # first, because its `changepassword` replaces Django's
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "unfold.contrib.simple_history",  # its pages in the admin's theme; before the app whose templates it replaces
    "simple_history",
    "axes",  # counts wrong passwords (pxbin_site/login)
    "ninja",  # serves /api/v1/docs from its own files
    "accounts",
    "upstreams",
    "billing",
    "proxy",
]

MIDDLEWARE = [
    "pxbin_site.middleware.SecurityHeaders",
    "pxbin_site.middleware.trailing_slash",
    "pxbin_site.login.places.LimitedPlaces",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "pxbin_site.login.guard.LoginGuard",
    "django.contrib.messages.middleware.MessageMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "pxbin_site.urls"
ASGI_APPLICATION = "pxbin_site.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": databases.database(PXBIN)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis holds the state that processes share and the channel layer for the live view of the log. Without it there is one
# process, whose memory is enough.
if PXBIN.redis_url:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": PXBIN.redis_url},
        "login": {
            "BACKEND": "pxbin_site.login.counters.SharedCounters",
            "LOCATION": PXBIN.redis_url,
            "KEY_PREFIX": "pxbin-login",
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        },
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [PXBIN.redis_url]}}}
else:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "login": {"BACKEND": "pxbin_site.login.counters.OwnCounters", "LOCATION": "login", "OPTIONS": {"MAX_ENTRIES": 20_000}},
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

CELERY_BROKER_URL = PXBIN.redis_url or "memory://localhost/"
CELERY_BEAT_SCHEDULE = billing_schedule.schedule(has_broker=bool(PXBIN.redis_url)) | upstreams_schedule.schedule(
    health_check_seconds=PXBIN.health_check_seconds, discover_seconds=PXBIN.discover_seconds
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BEAT_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker without a limit
# The next default of Celery, set to silence its warning. A worker has one thread, so no task runs while it reconnects.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
if PXBIN.redis_url:
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, float] = {
        "visibility_timeout": 120,  # seconds until a task whose worker was killed is delivered again (default: an hour)
        "socket_connect_timeout": 5,  # without these two, a Redis that accepts connections but does not answer blocks its callers for ever
        "socket_timeout": 5,
        "health_check_interval": 5,  # the same for a worker that waits for tasks, where no time-out applies
        "max_retries": 0,  # of sending a task: the shipper tries again
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.2}
CELERY_TIMEZONE = "UTC"

PASSWORD_HASHERS = ["pxbin_site.login.hashing.Argon2Hasher", "pxbin_site.login.hashing.PBKDF2Hasher"]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "axes.handlers.cache.AxesCacheHandler"
AXES_CACHE = login_limits.CACHE
AXES_FAILURE_LIMIT = login_limits.USER_FAILURES
AXES_COOLOFF_TIME = timedelta(seconds=login_limits.COOL_OFF_SECONDS)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "pxbin_site.login.throttle.client"
AXES_LOCKOUT_CALLABLE = "pxbin_site.login.throttle.lockout_response"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # else somebody who goes on trying keeps others at this address out
AXES_SENSITIVE_PARAMETERS = ["username"]  # not in the log: people type passwords into the wrong field
AXES_VERBOSE = AXES_ENABLE_ADMIN = False
MIGRATION_MODULES = {"axes": None}  # its counters are in the cache; its tables would stay empty
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = ["pxbin_site.formats"]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

# Static files are served from the directories of the packages, without `collectstatic`.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# The server limits request bodies; Django's own limit (2.5 MB) is less than the size of real conversations.
DATA_UPLOAD_MAX_MEMORY_SIZE = None

SESSION_COOKIE_AGE = int(PXBIN.admin_session_hours * 3600)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # Strict would show the login page to everybody who follows a link to the admin
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script reads the cookie
# If the operator names the origins of browsers, and all are https, cookies are sent over https only.
SESSION_COOKIE_SECURE = bool(PXBIN.trusted_origins) and all(origin.startswith("https://") for origin in PXBIN.trusted_origins)
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
SILENCED_SYSTEM_CHECKS = [
    "axes.W001",  # without Redis each process counts for itself (docs/security.md)
    "security.W001",  # our own middleware sets these headers, also at paths that Django's does not cover
    "security.W002",  # the same
    "security.W012",  # cookies are secure if the trusted origins are https
    "security.W016",  # the same
]

LOGGING = logging_config(log_format=PXBIN.log_format, log_level=PXBIN.log_level)

UNFOLD = admin_theme.UNFOLD
