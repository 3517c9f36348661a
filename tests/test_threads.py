"""The thread pools of a worker process, and what docs/deployment.md says about them."""

import asyncio
import re
import threading
from contextvars import ContextVar
from pathlib import Path

from django.urls import get_script_prefix, set_script_prefix
from django.utils import translation

from orthancproxy.conf import SETTINGS
from orthancproxy.threads import MAX_IDLE_REQUEST_THREADS, POOLS, Pool, request_thread, upload_files

ROOT = Path(__file__).parents[1]
variable: ContextVar[str] = ContextVar("variable")


def test_the_deployment_guide_states_every_pool_and_the_sum_of_their_threads() -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text()
    [upload_threads] = [setting.default for setting in SETTINGS if setting.name == "ORTHANC_UPLOAD_THREADS"]
    sizes = {pool: pool.size for pool in (*POOLS, upload_files(upload_threads))} | {
        request_thread(): MAX_IDLE_REQUEST_THREADS
    }
    for pool, size in sizes.items():
        assert f"| `{pool.name}` | {size} | {pool.reason}" in guide
    [total] = re.findall(r"at most (\d+) threads", guide)
    assert int(total) == sum(sizes.values())


def test_threads_are_started_nowhere_else() -> None:
    makers = [
        path.name
        for path in (ROOT / "orthancproxy").rglob("*.py")
        if "sandbox" not in path.parts and re.search(r"ThreadPoolExecutor|\bThread\(", path.read_text())
    ]
    assert makers == ["threads.py"]


def test_work_runs_in_a_copy_of_the_context_of_its_caller() -> None:
    async def ask() -> tuple[str, str]:
        variable.set("of the request")
        return await pool.run(lambda: (variable.get(), threading.current_thread().name))

    async def submit() -> str:
        variable.set("of the request")
        submitted = pool.submit(variable.get)
        variable.set("set later")
        return submitted.result(10)

    with Pool("test", 1, "this test") as pool:
        value, thread = asyncio.run(ask())
        assert asyncio.run(submit()) == "of the request"
    assert value == "of the request"
    assert thread.startswith("test")


def test_work_sees_the_state_of_django_whichever_thread_runs_it() -> None:
    """Behind a proxy, URLs are made in the thread; asgiref hides what was set in another one, unless it moves it."""
    several = Pool("several", 4, "a test")

    async def ask() -> list[tuple[str, str]]:
        set_script_prefix("/gateway/")
        with translation.override("ko"):
            asked = [several.run(lambda: (get_script_prefix(), translation.get_language())) for _ in range(8)]
            return await asyncio.gather(*asked)

    before = get_script_prefix()
    try:
        assert asyncio.run(ask()) == [("/gateway/", "ko")] * 8
    finally:
        set_script_prefix(before)
        several.shutdown()
