"""Addresses of notices and conversations, below /<account>/."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
