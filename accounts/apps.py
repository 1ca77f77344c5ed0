from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """The default roles, the installation's head and the staff groups are there after every migration."""
        from accounts.actions import STAFF_APPS, furnish, furnish_staff

        post_migrate.connect(furnish, sender=self, dispatch_uid="furnish")
        for app in map(apps.get_app_config, STAFF_APPS):
            post_migrate.connect(furnish_staff, sender=app, dispatch_uid=f"staff {app.label}")
