"""Every address, in one place. What isn't an account's stands first: those first words can't be an account's."""

from allauth.account.views import login, logout
from allauth.mfa.base.views import authenticate
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.http import require_POST

from accounts.views import home, revoke, tokens
from ampdr import views
from failover.views.ticket import short_address

admin.site.site_title = admin.site.site_header = "AMPDR Support"
admin.site.index_title = "Support"

handler400 = "ampdr.views.bad_request"
handler403 = "ampdr.views.forbidden"
handler404 = "ampdr.views.not_found"
handler500 = "ampdr.views.failed"

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("sign-in/", login, name="account_login"),
    path("sign-in/code/", authenticate, name="mfa_authenticate"),
    path("sign-out/", require_POST(logout), name="account_logout"),
    path("theme/", views.theme, name="theme"),
    path("me/tokens/", tokens, name="tokens"),
    path("me/tokens/<str:prefix>/revoke/", revoke, name="token-revoke"),
    path("admin/login/", views.admin_door),
    path("admin/logout/", require_POST(logout)),
    path("admin/", admin.site.urls),
    path("api/", include("ampdr.api")),
    path("", home, name="home"),
    path("failovers/<str:number>/", short_address, name="failover-short"),
    path("<slug:account>/", include("accounts.urls")),
    path("<slug:account>/", include("notices.urls")),
    path("<slug:account>/", include("replication.urls")),
    path("<slug:account>/", include("failover.urls")),
]
