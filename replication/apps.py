from django.apps import AppConfig


class ReplicationConfig(AppConfig):
    name = "replication"

    def ready(self) -> None:
        """What is told of orders."""
        from replication.actions import register_notices

        register_notices()
