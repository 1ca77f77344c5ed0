from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "notices"

    def ready(self) -> None:
        """What happens in `accounts`, lying below, is registered here; every other app registers its own."""
        from notices.actions import accounts, messages

        accounts.begin()
        messages.begin()
