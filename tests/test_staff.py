"""The groups of staff, and the first one of them made on the command line."""

from __future__ import annotations

import io
import re

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.actions import LEAD, OPERATOR, STAFF_APPS, STAFF_MAY, SUPPORT, furnish_staff
from accounts.models import Activity, Person
from tests.cast import Cast
from tests.codes import code_of, give_factor


def rights(group: str) -> set[str]:
    return set(Group.objects.get(name=group).permissions.values_list("codename", flat=True))


def test_each_group_has_its_rights_and_no_other(db: None) -> None:
    assert {"change_ticket", "add_authorizeduser", "view_order", "change_factorreset"} <= rights(SUPPORT)
    assert rights(LEAD) - rights(SUPPORT) >= {"add_account", "add_person", "add_factorreset", "add_ticket"}
    assert rights(SUPPORT) < rights(LEAD)
    assert {"add_site", "change_site", "add_machinetoken"} <= rights(OPERATOR)
    assert not rights(OPERATOR) & {"change_ticket", "view_ticket", "view_person", "add_account", "add_factorreset"}
    for table in STAFF_MAY.values():
        assert not [name for rights_ in table for names in rights_.values() for name in names if "delete" in name]


def test_every_right_in_the_table_is_of_a_model(db: None) -> None:
    """A slip of the pen would be a right that nobody ever has."""
    known = set(Permission.objects.values_list("content_type__app_label", "codename"))
    for tables in STAFF_MAY.values():
        named = {(app, name) for table in tables for app, names in table.items() for name in names}
        assert named - known == set()


def test_what_is_taken_out_of_the_table_is_taken_from_the_group(db: None) -> None:
    group = Group.objects.get(name=SUPPORT)
    group.permissions.add(Permission.objects.get(codename="add_account"))
    before = {name: rights(name) for name in STAFF_MAY}
    for app in STAFF_APPS:
        furnish_staff(apps.get_app_config(app))
    assert "add_account" in before[SUPPORT] and "add_account" not in rights(SUPPORT)
    assert {name: rights(name) for name in (LEAD, OPERATOR)} == {name: before[name] for name in (LEAD, OPERATOR)}


# ---- create_staff ----------------------------------------------------------------------------------------------------


def run(*line: str) -> str:
    said = io.StringIO()
    call_command(*line, stdout=said, stderr=said)
    return said.getvalue()


def test_the_first_one_of_staff(db: None) -> None:
    said = run("create_staff", "Otto@Example.com", "--name", "Otto Berg", "--group", LEAD, "--group", OPERATOR)
    otto = Person.objects.get(email="otto@example.com")
    assert otto.is_staff and not otto.is_superuser and not otto.has_usable_password() and not otto.demo
    assert set(otto.groups.values_list("name", flat=True)) == {LEAD, OPERATOR}
    row = Activity.objects.get(account=None, event="created")
    assert (row.actor, row.facts["groups"], row.facts["staff"]) == ("AMPDR", [OPERATOR, LEAD], True)
    path = re.search(r"http://[^/]+(/\S+)", said)
    assert path
    browser = Client()
    page = browser.get(path[1], follow=True)
    assert page.status_code == 200 and "password" in page.content.decode()
    where = page.redirect_chain[-1][0] if page.redirect_chain else path[1]
    new = {"password1": "a-long-phrase-of-otto", "password2": "a-long-phrase-of-otto"}
    assert browser.post(where, new).status_code == 302
    otto.refresh_from_db()
    assert otto.check_password("a-long-phrase-of-otto")
    assert "password1" not in Client().get(path[1], follow=True).content.decode(), "the link opens once"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["mary@example.com", "--name", "Mary", "--group", SUPPORT], "email"),
        (["no address", "--name", "Mary", "--group", SUPPORT], "email"),
        (["new@example.com", "--name", " ", "--group", SUPPORT], "name"),
        (["new@example.com", "--name", "N", "--group", "Boss"], "Boss"),
        (["new@example.com", "--name", "N"], "--group"),
    ],
)
def test_what_can_not_be_made_is_said(cast: Cast, line: list[str], words: str) -> None:
    before = Person.objects.count()
    with pytest.raises(CommandError, match=words):
        run("create_staff", *line)
    assert Person.objects.count() == before


# ---- demo_code -------------------------------------------------------------------------------------------------------


@pytest.fixture
def demo(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    monkeypatch.setenv("AMPDR_DEMO", "1")
    Person.objects.update(demo=True)
    give_factor(cast.priya)
    return cast


@pytest.mark.parametrize("name", ["priya", "Priya Raman", "PRIYA@example.com", " priya "])
def test_a_demo_persons_code(demo: Cast, name: str) -> None:
    wanted = code_of()
    said = run("demo_code", name)
    assert wanted in said and "It counts once" in said


def test_a_used_code_is_not_given_out_again(demo: Cast, client: Client) -> None:
    code = code_of()
    client.post("/sign-in/", {"login": "priya@example.com", "password": "correct horse battery"})
    assert client.post("/sign-in/code/", {"code": code}).status_code == 302
    with pytest.raises(CommandError, match=r"was used. It counts once; the next comes in \d+ s"):
        run("demo_code", "priya")


@pytest.mark.parametrize(
    ("name", "words"),
    [("nobody", "Nobody's name"), ("", "Nobody's name"), ("o", "oscar@"), ("ravi", "no second factor")],
)
def test_whom_it_can_not_tell(demo: Cast, name: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run("demo_code", name)


def test_only_in_a_demonstration_and_only_of_its_people(demo: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    Person.objects.filter(pk=demo.priya.pk).update(demo=False)
    with pytest.raises(CommandError, match="not of a demonstration"):
        run("demo_code", "priya")
    Person.objects.update(demo=True)
    for value in ("0", ""):
        monkeypatch.setenv("AMPDR_DEMO", value)
        with pytest.raises(CommandError, match="only in the mode of `make run`"):
            run("demo_code", "priya")
