"""Gunicorn reads this by itself, from the folder in which it is started: its own words become lines like all others."""

import os

from ampdr import logs

logconfig_dict = logs.config(plain=os.environ.get("LOG_FORMAT") == "text")
