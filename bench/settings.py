"""The portal's own settings, with the yardsticks' addresses beside the portal's."""

from ampdr.settings import *  # noqa: F403

ROOT_URLCONF = "bench.yardstick"
# What `startproject` writes: the yardsticks run behind these.
BARE_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
