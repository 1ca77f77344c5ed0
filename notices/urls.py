"""Addresses of notices and conversations, below /<account>/."""

from django.urls import path

from notices.views import notices

urlpatterns = [
    path("notifications/", notices.index, name="notifications"),
    path("notifications/read/", notices.read, name="notifications-read"),
    path("notifications/settings/", notices.settings, name="notification-settings"),
]
