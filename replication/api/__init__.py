"""The API's addresses of orders, replications and recovery points."""

from replication.api import orders, replications

urlpatterns = [*orders.urlpatterns, *replications.urlpatterns]
