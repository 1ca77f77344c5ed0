"""Recovery points that the provider no longer keeps are forgotten, whatever PostgreSQL takes their number for."""

from datetime import timedelta

from django.db import connection

from ampdr import clock
from replication.models import RecoveryPoint, Replication
from replication.tasks import prune
from tests.cast import Cast, make_vms, protect


def test_pruning_takes_no_longer_while_the_statistics_say_that_nothing_is_there(cast: Cast) -> None:
    """Statistics of an emptied table hold until it is analysed again. The statement's time limit is the judge here."""
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n:03}" for n in range(200)]))
    keys, now = list(Replication.objects.values_list("pk", flat=True)), clock.now()
    points = [RecoveryPoint(replication_id=pk, at=now - n * timedelta(minutes=5)) for pk in keys for n in range(1, 60)]
    RecoveryPoint.objects.bulk_create(points, ignore_conflicts=True)
    RecoveryPoint.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE replication_recoverypoint")
        cursor.execute("SET LOCAL statement_timeout = '4s'")
    RecoveryPoint.objects.bulk_create(points, ignore_conflicts=True)
    prune(dict.fromkeys(keys, now - timedelta(hours=1)))
    assert RecoveryPoint.objects.count() == 200 * 12
    assert not RecoveryPoint.objects.filter(at__lt=now - timedelta(hours=1)).exists()
