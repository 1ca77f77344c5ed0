"""Every address, in one place. What isn't an account's stands first: those first words can't be an account's."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from accounts.views import home
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
    path("sign-in/", LoginView.as_view(template_name="sign_in.html"), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("theme/", views.theme, name="theme"),
    path("admin/login/", views.admin_door),
    path("admin/logout/", LogoutView.as_view()),
    path("admin/", admin.site.urls),
    path("api/", include("ampdr.api")),
    path("", home, name="home"),
    path("failovers/<str:number>/", short_address, name="failover-short"),
    path("<slug:account>/", include("replication.urls")),
    path("<slug:account>/", include("failover.urls")),
]
