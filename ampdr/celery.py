"""Celery is the doorbell: one task without content, which drives whatever is due."""

import gc
import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_init, worker_process_init
from django.conf import settings

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


@worker_process_init.connect
def look_at_new_objects_alone(**_: Any) -> None:
    """What was imported stays: a thousand rows of a batch would have it looked through again and again."""
    gc.freeze()


@setup_logging.connect
def keep_our_logs(**_: Any) -> None:
    """Who listens to this signal sets up the logs; Celery then leaves them alone."""
    logging.config.dictConfig(settings.LOGGING)


@celeryd_init.connect
def without_banner(instance: Any, **_: Any) -> None:
    """A page of capitals is no line of a log."""
    instance.quiet = True
