from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ReplicationConfig(AppConfig):
    name = "replication"

    def ready(self) -> None:
        """What is told of orders, who hears an answer; and a first service level is there after every migration."""
        from replication.actions import furnish, listen, register_notices

        register_notices()
        listen()
        post_migrate.connect(furnish, sender=self, dispatch_uid="service levels")
