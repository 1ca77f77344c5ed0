"""Addresses of replication and its orders, below /<account>/."""

from django.urls import path

from replication import views

urlpatterns = [
    path("replication/", views.protected, name="replication"),
    path("replication/not-protected/", views.not_protected, name="replication-none"),
    path("replication/orders/", views.orders, name="orders"),
    path("replication/orders/new/", views.new_order, name="order-new"),
    path("replication/orders/<str:number>/", views.order, name="order"),
    path("replication/stop/", views.stop, name="replication-stop"),
]
