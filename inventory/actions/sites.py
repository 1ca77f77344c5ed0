"""Sites and their pairs, kept by Support."""

from __future__ import annotations

from accounts.actions import checked, support_only
from ampdr.lifecycle import Actor, changes
from inventory.models import Site


def save_site(actor: Actor, site: Site) -> Site:
    """A new site, or another pair, city or provider of one. Support's verb; it stands in the installation's log."""
    support_only(actor)
    event = "site.changed" if site.pk else "site.added"
    with changes(actor) as change:
        checked(site).save()
        pair = site.failover_site.code if site.failover_site else ""
        facts = {"code": site.code, "failover_site": pair, "provider": site.provider}
        change.note(Site.objects.filter(pk=site.pk), event, **facts)
    return site
