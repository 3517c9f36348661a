"""A subscription to a job has its state, each change, and its end; as long as the caller sees it."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient, Client
from pytest_django import Settings
from strawberry.relay import to_base64

from orthancproxy.access.actions import Action
from orthancproxy.jobs.models import Job, JobState
from orthancproxy.jobs.rows import JobFailure, advance, finish
from orthancproxy.jobs.watch import job_watch
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.callers import api_token, bearer
from tests.event_streams import event_stream, parse_event
from tests.waiting import wait_until_async

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.django_db(transaction=True)]

QUERY = "subscription($id: ID!) { jobUpdates(id: $id) { id state progress error { code } } }"


def make_job(**values: Any) -> Job:
    return Job.objects.create(
        **{"kind": "SEND", "level": "Study", "orthanc_ids": [], "studies": [], "parameters": {}, **values}
    )


def variables(job: Job) -> dict[str, str]:
    return {"id": to_base64("Job", job.pk)}


def update(job: Job, **changes: Any) -> None:
    assert advance(job, **changes)


def end(job: Job, state: JobState, failure: JobFailure | None = None) -> None:
    assert finish(job, state, job.created_at, failure=failure)


def shown(event: Any) -> Any:
    assert event
    assert (event.name, set(event.data)) == ("next", {"data"}), event
    return event.data["data"]["jobUpdates"]


def test_a_stream_tells_each_change_and_ends_with_the_job(gateway: LocalOrthanc) -> None:
    async def follow() -> None:
        job = await sync_to_async(make_job)()
        async with (
            event_stream(QUERY, variables=variables(job)) as stream,
            event_stream(QUERY, variables=variables(job)) as other,
        ):
            for one in (stream, other):
                assert shown(await one.event())["state"] == "PENDING"
            await sync_to_async(update)(job, state="RUNNING", progress=0.25)
            for one in (stream, other):
                assert shown(await one.event())["progress"] == 0.25
            await sync_to_async(end)(job, JobState.FAILED, JobFailure("JOB_LOST", "It is lost."))
            for one in (stream, other):
                assert shown(await one.event())["error"] == {"code": "JOB_LOST"}
                last = await one.event()
                assert last
                assert (last.name, last.data) == ("complete", None)
                assert await one.event() is None
        # nobody watches it any more
        await wait_until_async(lambda: not job_watch._is_running)

    asyncio.run(follow())


def test_a_job_that_has_ended_is_told_once(gateway: LocalOrthanc) -> None:
    async def follow() -> None:
        job = await sync_to_async(make_job)()
        await sync_to_async(end)(job, JobState.SUCCESS)
        async with event_stream(QUERY, variables=variables(job)) as stream:
            assert shown(await stream.event())["state"] == "SUCCESS"
            last = await stream.event()
            assert last
            assert last.name == "complete"

    asyncio.run(follow())


def test_a_stream_ends_when_its_caller_loses_the_job(gateway: LocalOrthanc, settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = []
    user = User.objects.create_user("kim")
    actions = [Action.VIEW.value, Action.MANAGE_JOBS.value]
    user.user_permissions.set(Permission.objects.filter(codename__in=actions))
    token, managing = api_token(user), Permission.objects.get(codename=Action.MANAGE_JOBS.value)

    async def follow() -> None:
        job = await sync_to_async(make_job)(created_by="lee")
        async with event_stream(QUERY, variables=variables(job), headers=bearer(token)) as stream:
            assert shown(await stream.event())["state"] == "PENDING"
            await sync_to_async(user.user_permissions.remove)(managing)
            # the caller is authenticated again every three seconds, and sees the job until then
            for change in range(1, 40):
                await sync_to_async(update)(job, progress=change / 1000)
                last = await stream.event()
                assert last
                if "errors" in last.data:
                    assert [error["extensions"]["code"] for error in last.data["errors"]] == ["NOT_FOUND"]
                    break
                assert shown(last)["progress"] == change / 1000
            else:
                pytest.fail("the stream goes on")
            end_event = await stream.event()
            assert end_event
            assert end_event.name == "complete"

    asyncio.run(follow())


def test_unknown_jobs_are_rejected_and_a_job_is_no_stream_unless_one_is_accepted(gateway: LocalOrthanc) -> None:
    async def follow() -> None:
        for given in ("Sm9iOjk5OTk5", "U3R1ZHk6MQ==", "nonsense"):
            body = {"query": QUERY, "variables": {"id": given}}
            headers = {"Accept": "text/event-stream"}
            response = await AsyncClient().post("/graphql/", body, content_type="application/json", headers=headers)
            only = parse_event(response.content.decode().split("\n\n")[0])
            assert only
            assert [error["extensions"]["code"] for error in only.data["errors"]] == ["NOT_FOUND"]

    asyncio.run(follow())
    body = {"query": QUERY, "variables": variables(make_job(created_by="lee"))}
    response = Client().post("/graphql/", body, content_type="application/json")
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["BAD_USER_INPUT"]
