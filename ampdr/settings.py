"""Everything that differs between installations comes from the environment (docs/operate.md)."""

from pathlib import Path
from typing import Any

from environ import Env

from ampdr import logs

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = False
SECRET_KEY = env.str("SECRET_KEY")
SITE_ORIGIN = env.str("SITE_ORIGIN", default="http://127.0.0.1:8000")
SECURE = SITE_ORIGIN.startswith("https://")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[SITE_ORIGIN.split("://")[1].split(":")[0]])
CSRF_TRUSTED_ORIGINS = [SITE_ORIGIN]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "ampdr",
    "accounts",
    "notices",
    "inventory",
    "replication",
    "failover",
]

MIDDLEWARE = [
    "ampdr.middleware.headers",
    "ampdr.logs.requests",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "ampdr.middleware.limits",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "ampdr.middleware.refusals",
    "accounts.views.viewer",
]

ROOT_URLCONF = "ampdr.urls"
WSGI_APPLICATION = "ampdr.wsgi.application"
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
                "failover.screens.shell",
            ],
        },
    }
]

# The guards of every connection: nobody waits long for a lock; a process frozen in mid-transaction soon holds none, and
# one that was killed in mid-statement neither (by itself PostgreSQL notices it when the statement is done).
CONNECTION_GUARDS = (
    "-c lock_timeout=2s -c statement_timeout=15s -c idle_in_transaction_session_timeout=3s "
    "-c client_connection_check_interval=1s -c timezone=UTC"
)
DATABASE: dict[str, Any] = env.db_url("DATABASE_URL")
DATABASE |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
DATABASE["OPTIONS"] = {**DATABASE.get("OPTIONS", {}), "options": CONNECTION_GUARDS, "connect_timeout": 3}
DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

JOURNAL = "accounts.activity.SealedJournal"  # keeps the record of every change (ampdr/lifecycle.py)

AUTH_USER_MODEL = "accounts.Person"
VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{VALIDATION}.UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("email", "name")}},
    {"NAME": f"{VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{VALIDATION}.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"

# Signing in (accounts/views/sign_in.py). People are invited, so nobody signs up and every address is known to be right.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_ADAPTER = "accounts.views.sign_in.SignIn"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if SECURE else "http"
ACCOUNT_RATE_LIMITS = False  # our own count by person, in the database: an address can be forged
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"
PASSWORD_RESET_TIMEOUT = 4 * 3600
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "AMPDR"
MFA_TOTP_TOLERANCE = 1  # periods before and after: RFC 6238, 5.2
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODE_DIGITS = 12  # beyond guessing: so they open the door without a limit (accounts/actions/sign_in.py)

# Which codes were used stands in the database, alike for every process; Redis may be away when people sign in.
# More of them than are used in one period, since what is beyond the number is forgotten.
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

LOGGING = logs.config(plain=env.str("LOG_FORMAT", default="json") == "text")

# How much one request may send: a choice of 10,000 VMs, and no files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 1

LANGUAGE_CODE = "en"
USE_I18N = False
DATE_FORMAT, DATETIME_FORMAT = "j M Y", "j M Y, H:i"  # where admin prints a moment by itself
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE else "csrf"
DEVICE_COOKIE_NAME = "__Host-device" if SECURE else "device"
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# The broker only makes things faster: every wait for it is short, and nothing is kept in it.
CELERY_BROKER_URL = env.str("BROKER_URL", default="redis://127.0.0.1:6379/0")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 0.3,
    "visibility_timeout": 60,
    "max_retries": 0,
}

# Mail (notices/tasks/mail.py). A mail server that hangs must not hold a worker for long.
vars().update(env.email_url("EMAIL_URL", default="smtp://127.0.0.1:25"))
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT_SECONDS", default=3)
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default=f"AMPDR <no-reply@{SITE_ORIGIN.split('://')[1].split(':')[0]}>")

LEASE_SECONDS = env.float("LEASE_SECONDS", default=30)
PROVIDER_TIMEOUT_SECONDS = env.float("PROVIDER_TIMEOUT_SECONDS", default=10)
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=5)

# Support's own facts, shown where they help; empty: not shown (product rule 19).
SUPPORT_PHONE = env.str("SUPPORT_PHONE", default="")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", default="")
SUPPORT_HOURS = env.str("SUPPORT_HOURS", default="")
SUPPORT_ANSWERS_LIVE_WITHIN = env.str("SUPPORT_ANSWERS_LIVE_WITHIN", default="")

PROVIDERS = env.dict("PROVIDERS", default={})  # site code -> provider, where it differs from the site's row
SIMULATION_LEDGER = env.str("SIMULATION_LEDGER", default=str(BASE_DIR / ".run" / "ledger.sqlite3"))

# The API (ampdr/api.py). Its doors name their own authentication and parsers; nothing here may import them.
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "ampdr.api.problem",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AMPDR",
    "DESCRIPTION": "Continuous Server Replication: order it, test it, fail over. The same verbs as the pages'.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1/accounts/{account}",
    "POSTPROCESSING_HOOKS": ["ampdr.api.complete"],
}
