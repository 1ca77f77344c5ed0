"""The house: settings, addresses and the kernel, which imports no app."""

from ampdr.celery import app as celery_app

__all__ = ["celery_app"]
