"""The verbs of the inventory."""

from inventory.actions.affected import Counts, affected, at_sites, outages_of
from inventory.actions.choices import chosen, keep
from inventory.actions.listing import add, count_new, make, relist, remove
from inventory.actions.outages import close, declare, update
from inventory.actions.reports import AT_MOST, KINDS, Taken, report
from inventory.actions.sites import save_site
from inventory.actions.upserts import AT_ONCE, Feed, Outcome, missing, preview, upsert
from inventory.actions.vpn import (
    Profiles,
    gateway_named,
    keepers,
    let_in,
    let_out,
    profile_count,
    profiles_of,
    save_client,
    save_gateway,
)

__all__ = [
    "AT_MOST",
    "AT_ONCE",
    "KINDS",
    "Counts",
    "Feed",
    "Outcome",
    "Profiles",
    "Taken",
    "add",
    "affected",
    "at_sites",
    "chosen",
    "close",
    "count_new",
    "declare",
    "gateway_named",
    "keep",
    "keepers",
    "let_in",
    "let_out",
    "make",
    "missing",
    "outages_of",
    "preview",
    "profile_count",
    "profiles_of",
    "relist",
    "remove",
    "report",
    "save_client",
    "save_gateway",
    "save_site",
    "update",
    "upsert",
]
