"""What machines call below /api/v1/accounts/<account>/."""

from inventory.api import reports, vms

urlpatterns = [*reports.ACCOUNT, *vms.ACCOUNT]
