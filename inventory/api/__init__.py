"""What machines call, below /api/v1/sites/<site>/ or /api/v1/accounts/<account>/, with a token for that place."""

from inventory.api import reports, sites, vms

urlpatterns = [*sites.SITE, *reports.SITE, *vms.SITE]  # below /api/v1/sites/<site>/
