"""The ASGI application, for a server such as uvicorn.

On a bad configuration it refuses to start, with a line for each problem.
"""

import logging
import os

import django
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler

from orthancproxy.project.body_limit import limit_bodies

logger = logging.getLogger(__name__)


def start() -> ASGIHandler:
    """Return the application. Raises SystemExit with the problems' texts."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orthancproxy.project.settings")
    try:
        django.setup(set_prefix=False)
    except ImproperlyConfigured as error:
        raise SystemExit(f"The gateway can't start: {error}") from None
    found = [message for message in run_checks() if not message.is_silenced()]
    problems = [
        f"{message.id}: {message.msg} {message.hint or ''}".strip() for message in found if message.is_serious()
    ]
    if problems:
        raise SystemExit("\n".join(["The gateway can't start:", *problems]))
    for message in found:
        logger.warning("%s: %s", message.id, message.msg, extra={"hint": message.hint})
    return get_asgi_application()


application = limit_bodies(start())
