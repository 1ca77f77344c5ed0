"""What a page costs at least: bare signed-in Django pages over the same database, 50 rows of 9 columns."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.urls import include, path
from django.utils.html import escape
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inventory.models import VM

COLUMNS = (
    "uuid", "name", "role", "os", "address", "site__code", "power", "fim_report_at", "fim_changes",
)  # fmt: skip
ORDER = ("rank", "name_key", "family", "role")

ENGINE = Engine(libraries={"l10n": "django.templatetags.l10n"})
PAGE = ENGINE.from_string(
    "{% load l10n %}{% localize off %}<!doctype html><title>Virtual machines</title><table><tbody>{% for row in rows %}"
    + "<tr>"
    + "".join(f"<td>{{{{ row.{name} }}}}</td>" for name in COLUMNS)
    + "</tr>{% endfor %}</tbody></table>{% endlocalize %}"
)


def vms(account: str) -> QuerySet[VM]:
    return VM.objects.filter(account__slug=account, shown=True).order_by(*ORDER)


@login_required
def template(request: HttpRequest, account: str) -> HttpResponse:
    """A template over values() rows, localisation off."""
    rows = list(vms(account).values(*COLUMNS)[:50])
    return HttpResponse(PAGE.render(Context({"rows": rows})))


@login_required
def floor(request: HttpRequest, account: str) -> HttpResponse:
    """values_list, one escaped string per row: nothing of Django's is cheaper."""
    rows = vms(account).values_list(*COLUMNS)[:50]
    cells = ("<tr><td>" + "</td><td>".join(escape(str(cell)) for cell in row) + "</td></tr>" for row in rows)
    return HttpResponse(f"<!doctype html><title>Virtual machines</title><table>{''.join(cells)}</table>")


class Api(APIView):
    """A REST framework view that hands out values() rows."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)

    def get(self, request: Request, account: str) -> Response:
        return Response({"results": list(vms(account).values(*COLUMNS)[:50])})


urlpatterns = [
    path("yardstick/<str:account>/template/", template),
    path("yardstick/<str:account>/floor/", floor),
    path("yardstick/<str:account>/api/", Api.as_view()),
    path("", include("ampdr.urls")),
]
