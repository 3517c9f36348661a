"""The kinds of jobs."""

from collections.abc import Mapping

from orthancproxy.jobs import sending
from orthancproxy.jobs.models import JobKind
from orthancproxy.jobs.work import Work

WORKS: Mapping[str, Work] = {JobKind.SEND: sending}
