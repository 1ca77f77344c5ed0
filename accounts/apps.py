from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """The default roles and the installation's head are there after every migration."""
        from accounts.actions import furnish

        post_migrate.connect(furnish, sender=self, dispatch_uid="furnish")
