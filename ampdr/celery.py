"""Celery is the doorbell: one task without content, which drives whatever is due."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ampdr.settings")

app = Celery("ampdr")
app.config_from_object("django.conf:settings", namespace="CELERY")

app.autodiscover_tasks()
