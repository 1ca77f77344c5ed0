"""Protected, Orders and Not protected; and what all pages of replication cost."""

from __future__ import annotations

import re

from django.test import Client

from ampdr import work
from inventory.models import VM
from replication.actions import stop_replication
from replication.models import RecoveryPoint
from tests.cast import Cast, protect, request, say_yes, sign_in
from tests.test_orders.asking import KEY, servers, statements
from tests.test_orders.reading import NEW, TOP, Answer, chosen, ordered, text


def reason(page: Answer) -> str:
    (found,) = re.findall(r"<b>([^<]*)</b> <span class=\"txt-warn\">· this is the reason", page.content.decode())
    return str(found)


def test_with_nothing_protected_the_true_reason_is_marked(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "web-01")
    page = client.get(TOP)
    assert reason(page) == "Not ordered" and "None of your 1 VM" in text(page)
    ordered(cast, vm)
    page = client.get(TOP)
    assert reason(page) == "Not fully provisioned yet" and "Priya Raman" in text(page)
    assert vm.name not in text(page)  # the service appears only when provisioning is complete
    work.drive()
    assert "this is the reason" not in text(client.get(TOP)) and vm.name in text(client.get(TOP))


def test_a_live_failover_stands_for_its_original_and_a_test_beside_nothing(cast: Cast, client: Client) -> None:
    one, two = servers(cast, "web-01", "web-02")
    protect(cast, [one, two])
    for kind, vm in (("live", one), ("test", two)):
        say_yes(cast, ticket := request(cast, [vm], kind))
        work.drive()
    page = client.get(TOP)
    body, words = page.content.decode(), text(page)
    assert body.count('aria-label="Failover virtual machine"') == 1
    assert words.count(" web-01 ") == 2 and words.count(" web-02 ") == 2  # the name, and the action's hidden one
    assert "Test" not in re.sub("Test failover", "", words) and "Paused" in words
    assert ticket.number not in words and "Runs as live failover" in words
    assert text(client.get(f"{TOP}?state=paused")).count(" web-01 ") == 2
    assert "web-02" not in text(client.get(f"{TOP}?state=paused"))
    assert "No protected VM matches “zzz”" in text(client.get(f"{TOP}?q=zzz"))


def test_not_protected_says_what_can_be_ordered_and_why_not(cast: Cast, client: Client) -> None:
    servers(cast, "build-07")
    servers(cast, "edge-lon", site="LHR01")
    protect(cast, servers(cast, "web-01"))
    words = text(client.get(f"{TOP}not-protected/"))
    assert "London (LHR01) has no failover site." in words and "Order replication of build-07" in words
    assert "web-01" not in words and "Not protected 2" in words
    sign_in(client, cast.ravi)
    assert "Order replication of build-07" not in text(client.get(f"{TOP}not-protected/"))


def test_orders_are_paged_newest_first_and_back_again(cast: Cast, client: Client) -> None:
    vms = servers(cast, *[f"vm-{i:03}" for i in range(60)])
    numbers = [ordered(cast, vm).number for vm in vms][::-1]
    shown, address, pages = [], f"{TOP}orders/", []
    while address:
        page = client.get(address)
        pages.append(re.findall(r'<a class="id" href="[^"]*">(RO-\d+)</a>', page.content.decode()))
        shown += pages[-1]
        found = re.search(r'href="(\?[^"]*)" rel="next"', page.content.decode())
        address = f"{TOP}orders/{found.group(1)}" if found else ""
    assert shown == numbers and [len(page) for page in pages] == [50, 10]
    back = re.search(r'href="(\?[^"]*)" rel="prev"', page.content.decode())
    assert back
    page = client.get(f"{TOP}orders/{back.group(1)}")
    assert re.findall(r'<a class="id" href="[^"]*">(RO-\d+)</a>', page.content.decode()) == pages[0]
    assert client.get(f"{TOP}orders/?after=forged").status_code == 200


def test_the_lines_of_a_large_order_are_paged(cast: Cast, client: Client) -> None:
    order = ordered(cast, *servers(cast, *[f"vm-{i:03}" for i in range(70)]))
    page = client.get(f"{TOP}orders/{order.number}/").content.decode()
    following = re.search(r'href="(\?[^"]*)" rel="next"', page)
    assert following and page.count('id="line-') == 50
    second = client.get(f"{TOP}orders/{order.number}/{following.group(1)}").content.decode()
    assert second.count('id="line-') == 20 and 'rel="prev"' in second
    assert "after=" in (re.search(r'(?<!"strips" )hx-get="([^"]+)"', second) or [""])[0]  # it updates itself


def test_pages_cost_the_same_few_statements_for_1_50_and_200(cast: Cast, client: Client) -> None:
    most = {TOP: 4, f"{TOP}orders/": 6, f"{TOP}not-protected/": 4, f"{TOP}orders/RO/": 6, f"{NEW}?all": 8}
    most[f"{TOP}stop/?all"] = 6
    counted: dict[str, list[int]] = {address: [] for address in most}
    for n in (1, 50, 200):
        vms = servers(cast, *[f"vm-{n}-{i:03}" for i in range(n)])
        order = protect(cast, vms[: n // 2 + 1], key=f"{KEY}-{n}")
        for vm in vms[n // 2 + 1 :][:55]:
            ordered(cast, vm)
        for address, counts in counted.items():
            with statements() as made:
                assert client.get(address.replace("RO", order.number).replace("all", chosen(*vms))).status_code == 200
            counts.append(len(made))
    assert all(len(set(counts)) == 1 and counts[0] <= most[address] for address, counts in counted.items()), counted


def test_nothing_here_counts_or_skips(cast: Cast, client: Client) -> None:
    order = protect(cast, servers(cast, "web-01"))
    servers(cast, "web-02")
    with statements() as made:
        for address in (TOP, f"{TOP}orders/", f"{TOP}not-protected/", f"{TOP}orders/{order.number}/"):
            client.get(address)
    assert not [sql for sql in made if " OFFSET " in sql or "SELECT COUNT(*)" in sql]


def test_hostile_names_are_only_text(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "x")
    VM.objects.update(name="<script>alert(1)</script>")
    addresses = [f"{NEW}?{chosen(vm)}", NEW, f"{TOP}not-protected/"]
    bodies = [client.get(address).content.decode() for address in addresses]
    order = protect(cast, [vm])
    more = [TOP, f"{TOP}orders/{order.number}/", f"{TOP}stop/?{chosen(vm)}", f"{TOP}?q=<script>alert(1)"]
    bodies += [client.get(address).content.decode() for address in more]
    assert all("alert(1)" in body and "<script>alert" not in body for body in bodies)
    assert stop_replication(cast.actor("priya"), [vm.uuid]) == 1 and not RecoveryPoint.objects.filter(pk=0).exists()
