"""Who gets which answer: every route and method, for the whole cast. `tests/test_permissions.py` asks each cell.

A line: route, methods, what is sent, and the status for each person.

Sent      `{web}` in the address, `?vm={web}` in the query, `;key=...` in the form (JSON in the API); `-`: nothing.
          The words in braces are things of an account: see `Things` in the test. Each is asked three times: with an
          own thing (Northwind's), with a foreign one (Contoso's), with one that never was.
Answer    `in`: led to sign in. `200/404`: 200 with an own thing; 404 with a foreign or absent one, alike to the byte.
          `200/200/302`: own, foreign, absent, for Support's people, who see every account.
People    anon: not signed in. Of Northwind: priya (Admin, listed), oscar (Technical, not listed), ravi (reads VMs, FIM
          and replication), sana (reads VMs and FIM). olga: Contoso's Admin. mary: Support.

Why some say 403/403 and others 403/404 (product.md, rule 17): who may not read the kind learns nothing of any number;
who may read it and not do this learns first whether it is there.
"""

from tests.permissions.others import OTHER_MEMBERS, TOKENS
from tests.permissions.pages import TABLE
from tests.permissions.staff import ADMIN, OTHER_STAFF

__all__ = ["ADMIN", "OTHER_MEMBERS", "OTHER_STAFF", "TABLE", "TOKENS"]
