"""Addresses of replication and its orders, below /<account>/."""

from django.urls import path

from replication.views import lists, new, order, stop

urlpatterns = [
    path("replication/", lists.protected, name="replication"),
    path("replication/not-protected/", lists.not_protected, name="replication-none"),
    path("replication/orders/", lists.orders, name="orders"),
    path("replication/orders/new/", new.new_order, name="order-new"),
    path("replication/orders/<str:number>/", order.detail, name="order"),
    path("replication/stop/", stop.stop, name="replication-stop"),
]
