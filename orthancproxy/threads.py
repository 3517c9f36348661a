"""Where blocking work is done: in threads of its own, so that the event loop never waits."""

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

# a slow Orthanc must not keep the event loop's few threads
RESOLVERS = ThreadPoolExecutor(max_workers=64, thread_name_prefix="resolver")
# minutes at a time: queries must not wait for them
UPLOADS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="receiver")
P = ParamSpec("P")
T = TypeVar("T")


def in_thread(resolver: Callable[P, T], threads: ThreadPoolExecutor = RESOLVERS) -> Callable[P, Coroutine[Any, Any, T]]:
    """A resolver that is waited for on the event loop while a thread carries it out.

    Django closes old connections to the database, as CONN_MAX_AGE says, in the threads of its own only.
    """

    @wraps(resolver)
    def carry_out(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return resolver(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(carry_out, thread_sensitive=False, executor=threads)
