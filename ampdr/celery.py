"""Celery is the doorbell: one task without content, which drives whatever is due."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

from ampdr.checks import faults

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ampdr.settings")

app = Celery("ampdr")
app.config_from_object("django.conf:settings", namespace="CELERY")

app.autodiscover_tasks()


@worker_init.connect
def refuse_unsafe(**_: Any) -> None:
    """No worker starts with unsafe settings. A signal swallows exceptions, but not an exit."""
    if unsafe := [words for _, words in faults()]:
        raise SystemExit(" ".join(unsafe))
