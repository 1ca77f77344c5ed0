"""The API's addresses of service levels, orders, replications, recovery points and what is billed."""

from replication.api import billable, levels, orders, replications

urlpatterns = [*levels.urlpatterns, *orders.urlpatterns, *replications.urlpatterns, *billable.urlpatterns]
