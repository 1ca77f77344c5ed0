"""What machines call, below /api/v1/sites/<site>/ or /api/v1/accounts/<account>/, with a token for that place."""

from inventory.api import sites

urlpatterns = sites.SITE  # below /api/v1/sites/<site>/
