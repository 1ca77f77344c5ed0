"""`make images` also takes the gallery: each screen of people as four pictures side by side (docs/screens.md)."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.walk import MARY, PRIYA, sign_in

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images" / "screens"
LOOKS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]
HEIGHT = 900
AWAY = {
    "sign-in": "sign-in/", "forgotten": "sign-in/forgotten/", "no-invitation": "invitation/never-made/",
}  # fmt: skip
CUSTOMER = {
    "profile": "me/", "password": "me/password/", "second-factor": "me/second-factor/", "sessions": "me/sessions/",
    "tokens": "me/tokens/", "users": "northwind/account/users/", "invite": "northwind/account/users/invite/",
    "roles": "northwind/account/roles/", "role": "northwind/account/roles/technical/",
    "role-new": "northwind/account/roles/new/?from=technical",
    "authorized-users": "northwind/account/authorized-users/", "activity": "northwind/activity/",
    "malware": "northwind/security/malware/", "patching": "northwind/security/patching/",
    "vpn": "northwind/vpn/?os=windows",
    "tickets": "northwind/tickets/", "ticket-new": "northwind/tickets/new/?kind=list",
    "notifications": "northwind/notifications/", "notification-settings": "northwind/notifications/settings/",
    "not-found": "northwind/tickets/T-1/",
}  # fmt: skip
SUPPORT = {
    "admin-accounts": "admin/accounts/account/", "admin-conversations": "admin/notices/conversation/",
    "admin-notices": "admin/notices/notice/", "admin-factor-resets": "admin/accounts/factorreset/",
    "admin-activity": "admin/accounts/activity/",
}  # fmt: skip


def gallery(browser: Browser, address: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for person, paths in ((None, AWAY), (PRIYA, CUSTOMER), (MARY, SUPPORT)):
        page = browser.new_context().new_page()
        if person:
            page.goto(f"{address}/sign-in/")
            sign_in(page, *person)
        for name, path in paths.items():
            montage(page, f"{address}/{path}", name)
        page.context.close()


def montage(page: Page, address: str, name: str, height: int = HEIGHT) -> None:
    """Four looks of one page in one picture; with no address, of the page as it stands, with all that was typed."""
    shots = []
    for width, theme in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        if address:
            page.goto(address)
        shots.append((width, base64.b64encode(page.screenshot(type="jpeg", quality=70)).decode()))
    page.set_viewport_size({"width": LOOKS[0][0], "height": height})
    sheet = page.context.new_page()
    sheet.set_viewport_size({"width": 1900, "height": height * 16 // 30})
    images = "".join(f'<img width={width // 2} src="data:image/jpeg;base64,{data}"> ' for width, data in shots)
    sheet.set_content(f"<body style='margin:10px;background:#889;white-space:nowrap'>{images}")
    sheet.screenshot(path=str(FOLDER / f"{name}.jpg"), type="jpeg", quality=72)
    sheet.close()
    print(name, flush=True)
