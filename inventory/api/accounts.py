"""What is called below /api/v1/accounts/<account>/: by people, and by machines with a token for that account."""

from inventory.api import outages, reports, vms

urlpatterns = [*reports.ACCOUNT, *vms.ACCOUNT, *outages.ACCOUNT]
