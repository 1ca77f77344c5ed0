from django.apps import AppConfig


class FailoverConfig(AppConfig):
    name = "failover"

    def ready(self) -> None:
        """What is told of failovers and of outages."""
        from failover.actions import notices, outages

        notices.begin()
        outages.begin()
