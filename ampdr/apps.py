from django.apps import AppConfig
from django.db.models import Field, ForeignObject


class AmpdrConfig(AppConfig):
    name = "ampdr"

    def ready(self) -> None:
        """`pk__among=keys`, and the like, for every field and foreign key; and the checks of the settings."""
        from ampdr import checks  # noqa: F401
        from ampdr.sets import Among

        Field.register_lookup(Among)
        ForeignObject.register_lookup(Among)
