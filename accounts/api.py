"""The API's door into an account: who calls, into which account, and what every address of the API shares."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actions import enter, enter_by_token, open_machine_token, receive, support
from accounts.actions.proof import proved, with_proof
from accounts.actions.second_factor import need_proof
from accounts.models import Account, MachineToken, Permission, Person, check_slug
from ampdr.errors import Absent, Forbidden, Invalid, Refusal, TooLarge
from ampdr.lifecycle import Actor, changes
from ampdr.middleware import length_of

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
SECRET = re.compile(r"[A-Za-z0-9_.~+/-]{12,200}")
NUMBER = re.compile(r"^[A-Z]{1,4}-[0-9]{1,15}\Z")
KEY = re.compile(r"[\x21-\x7e]{8,120}")
ROWS, ROWS_AT_MOST, VMS_AT_MOST, WORDS_AT_MOST = 50, 200, 10_000, 4_000


# ---- Who calls -------------------------------------------------------------------------------------------------------


class ByToken(BaseAuthentication):
    """`Authorization: Bearer ampdr_…`. The caller is the token's owner, with what both of them may."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        door = cast(Door, request.parser_context["view"])
        entered = self.open(secret.strip(), door) if SECRET.fullmatch(secret.strip()) else None
        if entered is None:
            raise AuthenticationFailed
        return entered

    def open(self, secret: str, door: Door) -> tuple[Any, Any] | None:
        return enter_by_token(secret, door.slug)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="AMPDR"'


class ByMachine(ByToken):
    """The same header with a machine's token. A person's token or session is nobody here, as a machine is elsewhere."""

    def open(self, secret: str, door: Door) -> tuple[Any, Any] | None:
        token = open_machine_token(secret)
        if token is None:
            return None
        slug = token.account.slug if token.account else ""
        return Actor(token.name, via="machine", account_id=token.account_id or 0, account_slug=slug), token


class BySession(SessionAuthentication):
    """A signed-in person, with his CSRF token for what isn't reading."""

    def enforce_csrf(self, request: Request) -> None:
        """On Django's own request: DRF's would read the body here, before anybody knows who calls."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type]


class Known(BasePermission):
    """Somebody known calls; else 401. What he may do is the verbs' to say."""

    def has_permission(self, request: Request, view: Any) -> bool:
        caller: Any = request.user
        return isinstance(caller, Actor) or caller.is_authenticated


class Json(JSONParser):
    """JSON up to the size that pages may send too."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        if length_of((parser_context or {})["request"]) > (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0):
            raise TooLarge("Send less at once.")
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except RecursionError as deep:
            raise ParseError from deep


class AlwaysJson(DefaultContentNegotiation):
    """One language goes out, whatever is asked for: nobody is refused for an Accept header."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class Door(APIView):
    """An address below /api/v1/accounts/<account>/. Methods find `self.actor`; they take no account.

    Order of refusals: 401, the account exists for the caller (404), the method exists (405), and then as verbs do.
    `for_support`: method -> the right in admin with which signed-in Support comes in without being a member. Whoever
    of the staff lacks it is as anybody else here: no door does what another refuses.
    """

    authentication_classes: tuple[type[BaseAuthentication], ...] = (ByToken, BySession)
    permission_classes = (Known,)
    parser_classes = (Json,)
    content_negotiation_class = AlwaysJson
    http_method_names = ("get", "head", "post", "delete")
    for_support: Mapping[str, str] = MappingProxyType({})
    slug: str
    actor: Actor

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.slug = kwargs.pop("account", "")
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        caller: Any = request.user
        self.actor = caller if isinstance(caller, Actor) else proved(request._request, self._enter(caller))

    def _enter(self, person: Person) -> Actor:
        if not re.fullmatch(check_slug.regex, self.slug):
            raise Absent
        right = self.for_support.get(self.request.method or "")
        if person.is_staff and right and person.has_perm(right):
            need_proof(proved(self.request._request, support(person, "api")))
            return self._support(person)
        return enter(person, self.slug, via="api")[0]

    def _support(self, person: Person) -> Actor:
        """Somebody of Support, who may read what is to be decided."""
        account = Account.objects.filter(slug=self.slug).first()
        if account is None:
            raise Absent
        reading = frozenset({Permission.READ_REPLICATION.value})
        return replace(support(person, "api"), account_id=account.pk, account_slug=account.slug, permissions=reading)

    def asked(
        self, shape: type[Body], may: Callable[[], None] = lambda: None, *, keyed: bool = False
    ) -> tuple[dict[str, Any], str]:
        """What was sent, and its Idempotency-Key (`keyed`: one must be there).

        Whoever may not do this at all hears that (`may` raises it) before what is wrong with the request.
        """
        try:
            key = self._key(keyed)
            body = shape(data=self.request.data)
            body.is_valid(raise_exception=True)
        except (Refusal, APIException):
            may()
            raise
        return body.validated_data, key

    def proving(self, code: str, verb: Callable[[Actor], T]) -> T:
        """Does a verb that may ask for a fresh second factor: proved in this session, or now by the body's `code`."""
        return with_proof(self.request._request, self.actor, code, verb)

    def _key(self, keyed: bool) -> str:
        key: str = self.request.headers.get("Idempotency-Key", "")
        if not key and keyed:
            raise Invalid("Send an Idempotency-Key: 8 to 120 characters, new for each request.", code=KEY_MISSING)
        if key and not KEY.fullmatch(key):
            raise Invalid("An Idempotency-Key has 8 to 120 visible ASCII characters.", code="idempotency_key_invalid")
        return key

    def once(self, key: str, body: list[Any], verb: Callable[[], object]) -> None:
        """For verbs that take no key: one transaction with the key's receipt. A repeat does nothing more."""
        if not key:
            verb()
            return
        with changes(self.actor):
            receipt = receive(self.actor, key, body)
            if not receipt.made:
                verb()
                receipt.made = "done"
                receipt.save(update_fields=["made"])

    def listed(
        self, asked: Mapping[str, Any], mine: QuerySet[Any], rows: QuerySet[Any, Any], name: str, order: str = "-pk"
    ) -> dict[str, Any]:
        """A page of `rows` (values() or instances) by keyset, in one statement, and the addresses of those around it.

        `name` is the public field by which `after` and `before` name a row; it is looked for in `mine`. `order` is the
        column to go by, as order_by() has it.
        """
        back, mark = "before" in asked, asked.get("after") or asked.get("before")
        column, newest_first = order.lstrip("-"), order.startswith("-") != back
        if mark:
            at = mark if column == name else mine.filter(**{name: mark}).order_by().values(column)[:1]
            rows = rows.filter(**{f"{column}__{'lt' if newest_first else 'gt'}": at})
        found = list(rows.order_by(f"-{column}" if newest_first else column)[: asked["size"] + 1])
        more, found = len(found) > asked["size"], found[: asked["size"]]
        if back:
            found.reverse()
        name_of: Callable[[Any], Any] = itemgetter(name) if found and isinstance(found[0], dict) else attrgetter(name)
        return {
            "next": self.address("after", name_of(found[-1])) if found and (more or back) else None,
            "previous": self.address("before", name_of(found[0])) if found and (more if back else mark) else None,
            "results": found,
        }

    def query(self, shape: type[Body]) -> dict[str, Any]:
        asked = shape(data=self.request.query_params.dict())
        asked.is_valid(raise_exception=True)
        return cast(dict[str, Any], asked.validated_data)

    def address(self, mark: str, value: object) -> str:
        """This address with its filters, at another page."""
        query = self.request.query_params.copy()
        for name in ("after", "before"):
            query.pop(name, None)
        query[mark] = value.isoformat() if isinstance(value, datetime) else str(value)
        return self.request.build_absolute_uri(f"{self.request.path}?{query.urlencode()}")


KEY_MISSING = "idempotency_key_missing"


class MachineDoor(Door):
    """An address below /api/v1/sites/<site>/, or below an account, for machines alone: with a token for exactly this
    place (else 404, as for a place that never was), and for one of `purposes` (else 403, the same for every place).

    Methods find `self.token`; that the site is there is for the door of an application that knows sites to say.
    """

    authentication_classes = (ByMachine,)
    purposes: frozenset[str] = frozenset(MachineToken.Purpose.values)
    site: str
    token: MachineToken

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.site = kwargs.pop("site", "")
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.token = cast(MachineToken, request.auth)
        if self.token.purpose not in self.purposes:
            raise Forbidden("This token is for another purpose.", code="wrong_purpose", title="Not with this token")
        if (self.site, self.slug) != (self.token.site, self.actor.account_slug):
            raise Absent


def made(row: Mapping[str, Any], address: str) -> Response:
    """201, and where it is."""
    return Response(row, status=201, headers={"Location": address})


def uuid_of(text: str) -> uuid.UUID:
    """The uuid in an address; what is none names nothing."""
    try:
        return uuid.UUID(text) if len(text) == 36 else uuid.UUID("")
    except ValueError:
        raise Absent from None


def number_of(text: str) -> str:
    """The number in an address; what is none names nothing."""
    if not NUMBER.fullmatch(text):
        raise Absent
    return text


# ---- What is sent: exactly these fields, of exactly these types ------------------------------------------------------


class Body(serializers.Serializer[Any]):
    """Shapes what was sent, nothing else: verbs say what is right. A field that isn't known is refused, as a typo."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            known = ", ".join(self.fields) or "none"
            raise serializers.ValidationError(
                {str(name)[:64]: [f"Not known here. Known: {known}."] for name in unknown}
            )
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A string: a number isn't one."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(**{"max_length": WORDS_AT_MOST, "allow_blank": True, "trim_whitespace": False, **facts})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Uuid(serializers.UUIDField):
    """A uuid in its one usual spelling."""

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if not isinstance(data, str) or len(data) != 36:
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class Moment(serializers.DateTimeField):
    """A time with its offset from UTC: without one nobody knows which moment is meant."""

    default_error_messages = {"naive": "Give the offset from UTC too, as in 2026-03-01T04:00:00Z."}

    def __init__(self, **facts: Any) -> None:
        super().__init__(default_timezone=UTC, **facts)

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            self.fail("naive")
        return super().enforce_timezone(value)


class Nothing(Body):
    """No body, or an empty object."""


class Vms(Body):
    vms = serializers.ListField(child=Uuid(), max_length=VMS_AT_MOST, help_text="uuids of VMs; all or none")


class Pages(Body):
    """How many rows, and where. `after` and `before` come with the addresses `next` and `previous` of an answer."""

    size = serializers.IntegerField(min_value=1, max_value=ROWS_AT_MOST, default=ROWS)


class PagesByNumber(Pages):
    after = serializers.RegexField(NUMBER, required=False)
    before = serializers.RegexField(NUMBER, required=False)


class PagesByUuid(Pages):
    after = Uuid(required=False)
    before = Uuid(required=False)


class PagesByTime(Pages):
    after = Moment(required=False)
    before = Moment(required=False)


# ---- What stands in the document -------------------------------------------------------------------------------------


def key_parameter(required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, required=required,
        pattern=r"^[\x21-\x7e]{8,120}$",
        description="New for each request. A repeat with the same key does nothing and gets the first answer's thing.",
    )  # fmt: skip


KEY_REQUIRED, KEY_ACCEPTED = key_parameter(True), key_parameter(False)
VM_UUID = OpenApiParameter("uuid", OpenApiTypes.UUID, OpenApiParameter.PATH, description="A VM's uuid.")
SESSION_ONLY: Any = [{"session": []}]


def described(
    name: str, answer: Any, *, status: int = 200, also: Mapping[int, Any] | None = None, **more: Any
) -> Callable[[F], F]:
    """What the document says of a method: its operationId, what it answers (`also` by status), and `more` as
    extend_schema has it. What every method may answer is added by the document itself."""
    return extend_schema(operation_id=name, responses={status: answer, **(also or {})}, **more)


@cache
def page_of(shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """The shape of one page of a list."""
    fields = {
        "next": serializers.URLField(allow_null=True), "previous": serializers.URLField(allow_null=True),
        "results": shape(many=True),
    }  # fmt: skip
    return inline_serializer(f"{shape.__name__}Page", fields)


class VmName(serializers.Serializer[Any]):
    """A VM by its uuid, with the name that it bears now."""

    uuid = serializers.UUIDField()
    name = serializers.CharField()
