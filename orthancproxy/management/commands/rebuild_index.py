"""`manage.py rebuild_index`: build the index of patients and studies again."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orthancproxy.archive.index import IndexStage, IndexUnavailable
from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.conf import conf
from orthancproxy.errors import GatewayError
from orthancproxy.follower.follower import LeaseHolder
from orthancproxy.resolvers.background import new_keeper
from orthancproxy.resolvers.context import connect


class Command(BaseCommand):
    """Reads all patients and studies of Orthanc into the index again. Lists come from Orthanc meanwhile."""

    help = "Build the index of patients and studies again. The gateway may run: its lists come from Orthanc meanwhile."

    def handle(self, *args: Any, **options: Any) -> None:
        client = connect()
        lease = LeaseHolder(conf.ORTHANC_BASE_URL)
        keeper = new_keeper(client, lease.take)
        try:
            if not client.capabilities().has_extended_find:
                raise CommandError("This Orthanc cannot be indexed: see server.advice.")
            keeper.reset()
            if lease.take():
                keeper.build()
                lease.release()
            # else a gateway that runs builds it
            while (status := keeper.status(EVERYTHING)).state is IndexStage.BUILDING:
                time.sleep(1)
        except (GatewayError, IndexUnavailable) as error:
            raise CommandError(f"The index cannot be built: {error!r}") from error
        self.stdout.write(f"{status.studies_count} studies are indexed.")
