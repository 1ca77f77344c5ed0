"""Where the portal finds the provider of a site."""

from functools import cache

from django.conf import settings

from inventory.models import Site
from replication.providers.base import Provider, provider_class


@cache
def provider_of(code: str) -> Provider:
    """The provider of a site, one per process: named in the environment (`PROVIDERS`), else on the site's row."""
    dotted = settings.PROVIDERS.get(code) or Site.objects.values_list("provider", flat=True).get(code=code)
    return provider_class(dotted)(code, settings.PROVIDER_TIMEOUT_SECONDS)
