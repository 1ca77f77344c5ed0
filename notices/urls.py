"""Addresses of notices and conversations, below /<account>/."""

from django.urls import path

from notices.views import conversations, notices

urlpatterns = [
    path("tickets/", conversations.index, name="tickets"),
    path("tickets/new/", conversations.new, name="ticket-new"),
    path("tickets/<str:number>/", conversations.detail, name="conversation"),
    path("notifications/", notices.index, name="notifications"),
    path("notifications/read/", notices.read, name="notifications-read"),
    path("notifications/settings/", notices.settings, name="notification-settings"),
]
