"""Addresses of people's pages, below /<account>/."""

from django.urls import path

from accounts.views import access, activity, authorized, roles, users

urlpatterns = [
    path("account/users/", users.users, name="users"),
    path("account/users/invite/", users.invite_user, name="user-invite"),
    path("account/users/<uuid:member>/", users.user, name="user"),
    path("account/invitations/<uuid:invitation>/", users.invitation, name="user-invitation"),
    path("account/roles/", roles.roles, name="roles"),
    path("account/roles/new/", roles.new, name="role-new"),
    path("account/roles/<slug:slug>/", roles.role, name="role"),
    path("account/authorized-users/", authorized.authorized_users, name="authorized-users"),
    path("account/ask/", access.ask, name="ask-access"),
    path("activity/", activity.index, name="activity"),
    path("activity/csv/", activity.export, name="activity-csv"),
]
