"""What every list of admin has: pages without counting, cheap filters, verbs instead of saving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from accounts import actions
from accounts.actions import searches
from accounts.actions.proof import proved, with_proof
from accounts.actions.second_factor import NEEDED
from accounts.models import Account, Person
from ampdr import clock
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

FEW = 50
SAME_SEARCH = 600  # seconds
T = TypeVar("T")


def staff(request: HttpRequest) -> Actor:
    """Who of Support acts here. Admin lets nobody else in; the verbs check it again."""
    return proved(request, actions.support(cast(Person, request.user)))


def with_typed_code(request: HttpRequest, verb: Callable[[Actor], T]) -> T:
    """Does a verb of Support that wants a fresh second factor, with the code that stands beside the button.

    Raises what the verb raises; for a code that is wrong or missing Invalid, naming the field.
    """
    try:
        return with_proof(request, staff(request), request.POST.get("code", "").replace("\0", ""), verb)
    except Forbidden as refusal:
        if refusal.code != NEEDED:
            raise
        raise Invalid(refusal.message, fields={"code": [refusal.message]}, code=NEEDED) from refusal


class Uncounted(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Pages of a list that nobody counts: beyond the `shown` one it knows only whether there is a next.

    The rows are found by their keys, so that what the list tells of each is not asked of all that were passed over.
    """

    shown = 1

    @cached_property
    def keys(self) -> list[Any]:
        start = (self.shown - 1) * self.per_page
        rows = cast("QuerySet[Any]", self.object_list)
        return list(rows.values_list("pk", flat=True)[start : start + self.per_page + 1])

    @cached_property
    def count(self) -> int:
        return (self.shown - 1) * self.per_page + len(self.keys)

    def page(self, number: int | str) -> Page[Any]:
        if self.validate_number(number) != self.shown:
            return super().page(number)
        rows = cast("QuerySet[Any]", self.object_list)
        return Page(rows.filter(pk__in=self.keys[: self.per_page]), self.shown, self)


class Shelf(ModelAdmin):
    """A list to look at. What a subclass lets people change is a verb: nothing is saved or deleted past one."""

    paginator = Uncounted
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = FEW
    list_max_show_all = 0
    sortable_by = ()
    actions: Any = None
    actions_selection_counter = False

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Paginator[Any]:
        pages = super().get_paginator(request, *args, **kwargs)
        page = request.GET.get("p") or request.GET.get("page") or ""
        pages.shown = max(1, int(page)) if page.isdecimal() else 1  # type: ignore[attr-defined]
        return pages

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.note_search(request)
        title = {"title": str(self.opts.verbose_name_plural).capitalize()}
        return super().changelist_view(request, title | (extra_context or {}))

    def note_search(self, request: HttpRequest) -> None:
        """Once for each search: whoever turns its pages, or looks again within ten minutes, still searches the same."""
        text = request.GET.get("q", "").replace("\0", "").strip()
        if not (text and self.search_fields and self.has_view_permission(request)):
            return
        asked, now = [str(self.opts.verbose_name_plural), text], clock.now().timestamp()
        *last, at = request.session.get("searched", ["", "", 0])
        if last != asked or now - at > SAME_SEARCH:
            searches.note_search(staff(request), *asked)
            request.session["searched"] = [*asked, now]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may(self, request: HttpRequest, what: str) -> bool:
        """Whether the person's group gives him `what` of this model."""
        return cast(Person, request.user).has_perm(f"{self.opts.app_label}.{what}_{self.opts.model_name}")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Everything, where no verb changes anything: such a form has no field at all."""
        if self.has_add_permission(request) or self.has_change_permission(request, obj):
            return ()
        return tuple(field.name for field in self.opts.fields)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Admin's own, without its transaction: a verb has one of its own, and it is the outermost."""
        answer: HttpResponse = self._changeform_view(request, *_four(*args, **kwargs))  # type: ignore[attr-defined]
        return answer

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        raise NotImplementedError("Name the verb.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """The verb has written these too."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None


def _four(
    object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
) -> tuple[str | None, str, dict[str, Any] | None]:
    return object_id, form_url, extra_context


class Choice(admin.SimpleListFilter):
    """A filter with a fixed list of words and a default; its last word is always All."""

    default: ClassVar[str] = "all"
    words: ClassVar[list[tuple[str, str]]] = []

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*self.words, ("all", "All")]

    def chosen(self) -> str:
        return (self.value() or self.default).replace("\0", "")

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, word in self.lookup_choices:
            query = changelist.get_query_string({str(self.parameter_name): value}, ["p"])
            yield {"selected": self.chosen() == str(value), "query_string": query, "display": word}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.chosen() == "all" else queryset.filter(**{str(self.parameter_name): self.chosen()})


class OfAccount(Choice):
    """One account: the first fifty by name are offered; lists of accounts link to the others."""

    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = list(Account.objects.order_by("name")[:FEW])
        chosen = request.GET.get("account", "")
        if chosen.isdecimal() and int(chosen) not in {account.pk for account in found}:
            found += Account.objects.filter(pk=chosen)
        return [("all", "All"), *((str(account.pk), account.name) for account in found)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        road: str = queryset.model.TENANT_PATH
        return queryset.filter(**{road: self.chosen()}) if self.chosen().isdecimal() else queryset
