from django.apps import AppConfig


class FailoverConfig(AppConfig):
    name = "failover"

    def ready(self) -> None:
        """What is told of failovers."""
        from failover.actions import notices

        notices.begin()
