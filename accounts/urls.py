"""Addresses of people's pages, below /<account>/."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
