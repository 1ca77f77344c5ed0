from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """The default roles, the installation's head and the staff group are there after every migration."""
        from accounts.actions import SUPPORT_MAY, furnish, furnish_support

        post_migrate.connect(furnish, sender=self, dispatch_uid="furnish")
        for app in map(apps.get_app_config, SUPPORT_MAY):
            post_migrate.connect(furnish_support, sender=app, dispatch_uid=f"support {app.label}")
