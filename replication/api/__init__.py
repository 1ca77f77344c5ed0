"""The API's addresses of orders, replications, recovery points and what is billed."""

from replication.api import billable, orders, replications

urlpatterns = [*orders.urlpatterns, *replications.urlpatterns, *billable.urlpatterns]
