"""`make soak`: clients read, upload and delete for minutes, and the result is compared with a model.

Every client has patients of its own, for which it knows every expected answer; others are shared. At the end the
archive, read directly from Orthanc, is compared with the model, and the audit with the changes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.servers import session
from benchmarks.soak import model
from benchmarks.soak.clients import Client
from benchmarks.soak.process import FOLLOWING, MEGABYTE, Held, Sampler, growth, held, settled
from benchmarks.soak.traffic import Change, Notes, Traffic
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

CLIENTS = 16
SECONDS = 600.0
SEED = 20_260_101
WARM_UP = 0.2  # of the time, and the maximum in seconds
LONGEST_WARM_UP = 60.0
# how much a process may grow from start to end, measured when idle
MORE_MEMORY = 50 * MEGABYTE
MORE_MEMORY_A_MINUTE = 1.5 * MEGABYTE  # by a line through the second half of a soak of ten minutes
MORE_DESCRIPTORS = 40  # each idle thread keeps the database open, and connections to Orthanc are kept for the next call
MORE_THREADS = 40
_SHOWN = 20  # problems


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a soak."""

    orthanc: str
    seed: int
    seconds: float
    notes: Notes
    start: Held
    end: Held
    samples: Sequence[Held]
    differences: Sequence[str]
    instances: int
    changes: int

    @property
    def failures(self) -> list[str]:
        """Return a line for each failure."""
        grown = self.end.memory - self.start.memory
        late = growth(self.samples[len(self.samples) // 2 :])
        found = [*self.notes.problems, *self.differences]
        if grown > MORE_MEMORY or (self.seconds >= SECONDS and late > MORE_MEMORY_A_MINUTE):
            found.append(f"Memory grows: {grown / MEGABYTE:.1f} MB, at last {late / MEGABYTE:.1f} MB a minute.")
        if self.end.descriptors - self.start.descriptors > MORE_DESCRIPTORS:
            found.append(f"{self.end.descriptors} file descriptors are open, and were {self.start.descriptors}.")
        if self.end.threads - self.start.threads > MORE_THREADS:
            found.append(f"There are {self.end.threads} threads, and were {self.start.threads}.")
        if self.end.connections > FOLLOWING:
            found.append(f"{self.end.connections} connections to Orthanc are open.")
        return found

    def as_json(self) -> dict[str, object]:
        """Return the report as JSON."""
        return {
            "orthanc": self.orthanc,
            "seed": self.seed,
            "seconds": self.seconds,
            "requests": sum(count for count, *_ in self.notes.quantiles().values()),
            "errors": dict(self.notes.errors),
            "expected errors": dict(self.notes.expected),
            "milliseconds": self.notes.quantiles(),
            "start": self.start.as_json(),
            "end": self.end.as_json(),
            "samples": [one.as_json() for one in self.samples],
            "memory per minute": growth(self.samples),
            "instances": self.instances,
            "changes": self.changes,
            "differences": list(self.differences),
            "failures": self.failures,
        }

    def lines(self) -> Iterator[str]:
        """Return the report as text."""
        quantiles = self.notes.quantiles()
        total = sum(count for count, *_ in quantiles.values())
        yield f"Orthanc {self.orthanc}, seed {self.seed}: {total:,} requests in {self.seconds:.0f} s"
        yield f"{'':18}{'requests':>9}{'p50':>9}{'p95':>9}{'p99':>9}  (ms)"
        for kind, (count, *times) in quantiles.items():
            yield f"{kind:18}{count:9,}" + "".join(f"{one:9,.0f}" for one in times)
        yield f"Errors: {dict(self.notes.errors) or 0}; expected, of what was deleted: {dict(self.notes.expected)}"
        yield f"{'':22}{'start':>8}{'end':>8}{'most':>8}"
        for name, unit in {"memory": MEGABYTE, "descriptors": 1, "threads": 1, "connections": 1}.items():
            values = [getattr(self.start, name), getattr(self.end, name)]
            values.append(max(getattr(one, name) for one in (*self.samples, self.start, self.end)))
            label = f"{name} (MB)" if unit > 1 else name
            yield f"{label:22}" + "".join(f"{value / unit:8,.0f}" for value in values)
        for part, samples in {"": self.samples, ", later half": self.samples[len(self.samples) // 2 :]}.items():
            yield f"Memory, by a line through the samples{part}: {growth(samples) / MEGABYTE:+.2f} MB a minute"
        yield f"Archive: {self.instances} instances, audit: {self.changes} changes; {len(self.differences)} differences"
        failures = self.failures
        yield from (f"WRONG {one}" for one in failures[:_SHOWN])
        yield f"{len(failures)} failures"


def soak(seconds: float, seed: int, folder: Path, clients: int = CLIENTS) -> Report:
    """Run a new Orthanc, a new gateway, and the clients for a number of seconds after their warm-up."""
    with (
        LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc,
        serving(orthanc.base_url, folder) as gateway,
    ):
        shared = [model.shared_study(number, seed) for number in range(model.SHARED_PATIENTS)]
        everyone = [Client(number, Traffic(gateway, f"{seed}-{number:02d}"), seed, shared) for number in range(clients)]

        def take() -> Held:
            return held(gateway.pid, orthanc.port)

        _let_loose(everyone, min(WARM_UP * seconds, LONGEST_WARM_UP))
        start = settled(take)
        with Sampler(take) as sampler:
            _let_loose(everyone, seconds)
        end = settled(take)
        notes = Notes()
        for client in everyone:
            notes.add(client.traffic.notes)
        found = _archived(orthanc)
        differences = [*_misplaced(everyone, shared, found), *_unaudited(folder, notes.changes)]
        # shared studies are complete again once they are uploaded undisturbed
        settling = Traffic(gateway, f"{seed}-settling")
        for study in shared:
            for chunk in study.chunks:
                settling.upload_by_rest("upload, shared", study, study.files(chunk))
        differences += settling.notes.problems
        differences += _incomplete(shared, _archived(orthanc))
        return Report(
            orthanc.version,
            seed,
            seconds,
            notes,
            start,
            end,
            sampler.samples,
            differences,
            len(found),
            len(notes.changes),
        )


def _let_loose(clients: Sequence[Client], seconds: float) -> None:
    """Run all clients concurrently until the time is over."""
    deadline = time.monotonic() + seconds

    def run(client: Client) -> None:
        while time.monotonic() < deadline:
            try:
                client.step()
            except Exception as error:  # noqa: BLE001 - a malformed answer is a finding too
                client.traffic.problem(f"{type(error).__name__} {error}")

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.traffic.close()


def _archived(orthanc: LocalOrthanc) -> dict[str, str]:
    """Return the PatientID of every instance in Orthanc."""
    with session() as one:
        answer = one.post(f"{orthanc.base_url}/tools/find", json={"Level": "Patient", "Query": {}, "Expand": True})
        patients: list[dict[str, Any]] = answer.json()
        found = {}
        for patient in patients:
            instances = one.get(f"{orthanc.base_url}/patients/{patient['ID']}/instances").json()
            found.update({instance["ID"]: patient["MainDicomTags"]["PatientID"] for instance in instances})
        assert len(found) == one.get(f"{orthanc.base_url}/statistics").json()["CountInstances"]  # noqa: S101
        return found


def _misplaced(clients: Sequence[Client], shared: Sequence[model.Study], found: Mapping[str, str]) -> Iterator[str]:
    """Return the differences between the archive and the model."""
    expected = {
        study.ids[slot]: study.patient_id
        for client in clients
        for study in client.owned.living()
        for slot in study.stored
    }
    everybodys = {study.patient_id: study for study in shared}
    own = {one: patient for one, patient in found.items() if patient not in everybodys}
    yield from (f"{one} of {expected[one]} is missing" for one in sorted(expected.keys() - own.keys()))
    yield from (f"{one} of {own[one]} should not be there" for one in sorted(own.keys() - expected.keys()))
    yield from (f"{one} is {own[one]}'s" for one in sorted(own.keys() & expected.keys()) if own[one] != expected[one])
    for patient, study in everybodys.items():
        count = sum(owner == patient for owner in found.values())
        if count > sum(len(chunk) for chunk in study.chunks):
            yield f"{patient} has {count} instances, more than were ever uploaded"


def _incomplete(shared: Sequence[model.Study], found: Mapping[str, str]) -> Iterator[str]:
    counts = Counter(found.values())
    for study in shared:
        expected = sum(len(chunk) for chunk in study.chunks)
        if counts[study.patient_id] != expected:
            yield f"{study.patient_id} has {counts[study.patient_id]} instances, not {expected}"


def _unaudited(folder: Path, changes: Sequence[Change]) -> Iterator[str]:
    """Return changes that the audit lacks, repeats or reports differently, and events without a change."""
    [database] = (folder / "data").glob("*.sqlite3")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT done.request_id, done.event, done.counts, intended.request_id "
            "FROM orthancproxy_auditevent done LEFT JOIN orthancproxy_auditevent intended "
            "ON intended.id = done.intention_id AND intended.outcome = 'INTENDED' "
            "WHERE done.event IN ('IMPORT', 'DELETION') AND done.outcome = 'SUCCESS'"
        ).fetchall()
        [[unconcluded]] = connection.execute(
            # a viewing is concluded minutes later
            "SELECT COUNT(*) FROM orthancproxy_auditevent "
            "WHERE event IN ('IMPORT', 'DELETION') AND outcome = 'INTENDED' AND id NOT IN "
            "(SELECT intention_id FROM orthancproxy_auditevent WHERE intention_id IS NOT NULL)"
        )
    done = Counter((change.request_id, change.event) for change in changes)
    audited = Counter((request_id, event) for request_id, event, _, _ in rows)
    yield from (
        f"audit: {one} was done {done[one]} times, recorded {audited[one]} times"
        for one in done | audited
        if done[one] != audited[one]
    )
    counts = {request_id: json.loads(count).get("instances") for request_id, _, count, _ in rows}
    for change in changes:
        if change.instances is not None and counts.get(change.request_id) != change.instances:
            yield f"audit: {change.request_id} has {counts.get(change.request_id)} instances, not {change.instances}"
    yield from (
        f"audit: {request_id} has no intention" for request_id, _, _, intended in rows if intended != request_id
    )
    if unconcluded:
        yield f"audit: {unconcluded} intentions have no outcome"
