"""Signing in and out: allauth's own pages and steps, with our words, limits and record."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter


class SignIn(DefaultAccountAdapter):  # type: ignore[misc]
    """What allauth asks of us. It sends no mail itself: notices are made from the record."""
