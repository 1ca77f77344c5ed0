"""Hostile text, by where it would do harm if it were taken for more than text. `docs/promises` counts them."""

from __future__ import annotations

from itertools import islice, product

HIT = "window.hit=1"
_BREAKS = ("", '">', "'>", "</title>", "</textarea>", "</script>", "-->", "`>", "}}", "</style>", "]]>", '"/>')
_TAGS = (
    f"<script>{HIT}</script>",
    f"<img src=x onerror={HIT}>",
    f"<svg onload={HIT}>",
    f"<a href=javascript:{HIT}>a</a>",
    f"<iframe srcdoc='<script>parent.{HIT}</script>'></iframe>",
)
XSS = [f"{out}{tag}" for out, tag in product(_BREAKS, _TAGS)]  # 60

_FORMULAS = ("1+1", "cmd|' /C calc'!A0", 'HYPERLINK("http://x.example")', "SUM(A1:A9)", "@SUM(1)")
_STARTS = ("=", "+", "-", "@", "\t=", "\r=", "\n=", " =")
CSV = [f"{start}{formula}" for start, formula in product(_STARTS, _FORMULAS)]  # 40

_ELSEWHERE = (
    "x.example",
    "x.example/sign-in/",
    "x.example\\@testserver",
    "testserver@x.example",
    "x.example?testserver",
)
_ROADS = ("http://", "https://", "//", "///", "/\\", "\\\\")
REDIRECTS = [f"{road}{place}" for road, place in product(_ROADS, _ELSEWHERE)]  # 30

_ENDS = ("\r\n", "\n", "\r", "\x0b", "\u2028")
_HEADERS = ("Bcc: x@x.example", "Subject: other", "\r\nContent-Type: text/html", "X-A: b")
MAIL_HEADERS = [f"Anna{end}{header}" for end, header in product(_ENDS, _HEADERS)]  # 20

ODD = ["\u202egnirts a", "a\u200bb", "x" * 10_000, "\ufeffname", "a\u0301" * 50]


def spread(size: int, n: int) -> list[str]:
    """`n` texts of at most `size` characters in which every piece of XSS stands that fits."""
    texts, pieces = [], [one for one in XSS if len(one) <= size]
    for start in range(n):
        text = ""
        for piece in islice(pieces * 2, start, None):
            if len(text) + len(piece) > size:
                break
            text += piece
        texts.append(text)
    return texts
