import os

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ampdr.settings")
application = get_wsgi_application()

from ampdr import checks, work  # noqa: E402  models can be imported only now

if unsafe := [words for _, words in checks.faults()]:
    raise ImproperlyConfigured(" ".join(unsafe))
work.ring_now()  # the first ring of a process pays for imports and the connection: no approval shall
