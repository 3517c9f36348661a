"""The command that serves the gateway; `--help` describes it."""

import argparse
import logging.config
import os
import sys

from orthancproxy.conf import Configuration
from orthancproxy.logs import capture_prints, logging_config
from orthancproxy.project.environment import Environment
from orthancproxy.project.monitoring.folder import FOLDER_VARIABLE, make_folder
from orthancproxy.project.server.migrating import migrate_until_done
from orthancproxy.project.server.supervisor import Supervisor
from orthancproxy.project.server.worker import STARTUP_FAILURE, Worker, configuration
from orthancproxy.project.variables import DeploymentVariables
from orthancproxy.threads import daemon

logger = logging.getLogger(__name__)


def main() -> int:
    """Serve until a signal, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m orthancproxy.project.server",
        description="Serve the gateway, with WEB_CONCURRENCY worker processes. SIGTERM: end, after the requests in "
        "progress. SIGHUP: replace the workers one after the other.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on (8000)")
    parser.add_argument(
        "--migrate", action="store_true", help="migrate the database, meanwhile or when it is available"
    )
    parser.add_argument("--application", default="orthancproxy.project.asgi:application", help="ASGI application")
    arguments = parser.parse_args()
    # problems are reported by the workers
    environment = Environment()
    logging.config.dictConfig(logging_config(environment.read(Configuration.ORTHANC_LOG_FORMAT)))
    capture_prints()
    config = configuration(
        arguments.application,
        arguments.host,
        arguments.port,
        environment.read(Configuration.WEB_CONCURRENCY),
        environment.read(DeploymentVariables.ORTHANC_DRAIN_SECONDS),
    )
    delay_seconds = environment.read(DeploymentVariables.ORTHANC_SHUTDOWN_DELAY_SECONDS)
    if not _serve_metrics(environment):
        return STARTUP_FAILURE
    sockets = [config.bind_socket()]
    if arguments.migrate:
        daemon("migrate", migrate_until_done).start()
    if config.workers == 1:
        Worker(config, delay_seconds).run(sockets)
        return 0
    return Supervisor(config, sockets, delay_seconds).run()


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65_536):
        raise argparse.ArgumentTypeError("it must be a number from 0 to 65,535")
    return int(text)


def _serve_metrics(environment: Environment) -> bool:
    """Serve the metrics of all workers if there is an address for them; return False if it cannot be used."""
    address = environment.address(environment.read(DeploymentVariables.ORTHANC_METRICS_ADDRESS))
    if address is None:
        os.environ.pop(FOLDER_VARIABLE, None)
        return True
    try:
        folder = make_folder()
        # before prometheus_client is imported, here and in the workers
        os.environ[FOLDER_VARIABLE] = str(folder)
        from orthancproxy.project.monitoring.server import serve_metrics

        serve_metrics(*address, folder)
    except OSError as error:
        # a port in use needs no traceback
        problem = "The gateway cannot start: ORTHANC_METRICS_ADDRESS cannot be used (%s)."
        logger.error(problem, error.strerror)  # noqa: TRY400
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
