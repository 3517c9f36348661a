"""A reader of the audit log who goes on from an id misses no event, in whichever order they are committed."""

from pathlib import Path

from tests.postgresql import new_database, run_script

SCRIPT = """
import os, time, django
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.db import connection, transaction
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.settled import SettledEvents

def create():
    return AuditEvent.objects.create(event="LOGIN", operation="login", outcome="SUCCESS", duration_ms=1).pk

def in_another_transaction(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: (function(), connection.close())[0]).result()

settled = SettledEvents()
assert settled.newest() == 0
first = create()
assert settled.newest() == first
with transaction.atomic():
    low = create()
    high = in_another_transaction(create)
    assert low < high
    read = lambda: in_another_transaction(settled.newest)
    assert read() == first
    assert read() == first
    higher = in_another_transaction(create)
    # another process, which has not seen the first event either
    assert in_another_transaction(SettledEvents().newest) == 0
assert settled.newest() == higher
try:
    with transaction.atomic():
        rolled_back = create()
        after = in_another_transaction(create)
        assert read() == higher
        raise ValueError
except ValueError:
    pass
assert settled.newest() == after
# writers that overlap each other do not hold it up: those of an earlier call have ended
def overlapping():
    transaction.set_autocommit(False)
    return create()
with ThreadPoolExecutor(1) as a, ThreadPoolExecutor(1) as b:
    def end():
        transaction.commit(); transaction.set_autocommit(True); connection.close()
    one = a.submit(overlapping).result()
    assert settled.newest() == after
    two = b.submit(overlapping).result()
    a.submit(end).result()
    assert settled.newest() == after
    three = a.submit(overlapping).result()
    b.submit(end).result()
    found = settled.newest()
    assert found == one, (found, one, two, three)
    a.submit(end).result()
assert settled.newest() == three
# a process that has just begun waits for the writers that it finds
other = SettledEvents()
with ThreadPoolExecutor(1) as a:
    last = a.submit(overlapping).result()
    assert other.newest() == 0
    other.wait(0.1)
    assert other.newest() == 0
    started = time.monotonic()
    a.submit(lambda: (time.sleep(0.3), end()))
    other.wait(20)
    assert time.monotonic() - started < 10
assert other.newest() == last
print("done")
"""


def test_event_with_an_id_below_one_that_is_committed_is_waited_for(postgresql: str, tmp_path: Path) -> None:
    ran = run_script(SCRIPT, new_database(postgresql), tmp_path)
    assert ran.stdout == "done\n", ran.stderr
