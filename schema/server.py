"""The type of `server`."""

import datetime
from dataclasses import fields
from enum import Enum

import strawberry

from orthancproxy.archive.index import IndexStatus
from orthancproxy.conf import conf
from orthancproxy.schema.scalars import ByteCount


@strawberry.type(description="Limits of one request.")
class ServerLimits:
    max_upload_files: int = strawberry.field(description="Maximum number of files of an upload.")
    max_upload_bytes: ByteCount = strawberry.field(description="Maximum size of an upload in bytes.")
    max_page_size: int = strawberry.field(description="Maximum `first` of a list.")
    max_objects: int = strawberry.field(
        description="Maximum number of patients, studies, series and instances together."
    )
    max_seconds: float = strawberry.field(description="Time limit in seconds of a request that reads.")
    max_query_tokens: int = strawberry.field(
        description="Maximum number of tokens in a query, including comments. "
        "The maximum length is 25 characters for each. Also the maximum number of values in its variables, besides "
        "files and their folders."
    )
    max_query_depth: int = strawberry.field(
        description="Maximum nesting of fields, and of lists and objects in an argument."
    )
    max_query_fields: int = strawberry.field(
        description="Maximum number of selected fields after expanding fragments; each spread counts as one."
    )
    max_query_aliases: int = strawberry.field(description="Maximum number of aliases after expanding fragments.")
    max_query_repeats: int = strawberry.field(
        description="Maximum number of directives, of fragments, of operations, and of selections of one field in one "
        "place in the response."
    )


def _limits() -> ServerLimits:
    return ServerLimits(**{one.name: getattr(conf, f"ORTHANC_{one.name.upper()}") for one in fields(ServerLimits)})


@strawberry.enum(name="ArchiveIndexState", description="Whether the gateway's index selects the lists of the caller.")
class IndexStageName(Enum):
    OFF = strawberry.enum_value("OFF", description="There is none, or it cannot serve the caller's scope.")
    BUILDING = strawberry.enum_value("BUILDING", description="It is being built. Lists come from Orthanc.")
    READY = strawberry.enum_value("READY", description="It selects lists of patients and studies.")
    UNAVAILABLE = strawberry.enum_value(
        "UNAVAILABLE", description="Its database is unavailable. Lists come from Orthanc."
    )


@strawberry.type(description="The gateway's index of patients and studies.")
class ArchiveIndex:
    @strawberry.field(description="Whether it selects the lists of the caller.")
    def state(root: strawberry.Parent[IndexStatus]) -> IndexStageName:
        return IndexStageName[root.state.name]

    studies_count: int = strawberry.field(description="Number of studies in it that the caller may see.")
    updated_at: datetime.datetime | None = strawberry.field(
        description="When it changed; null for callers with a scope."
    )


@strawberry.type(description="The Orthanc behind the gateway.")
class Server:
    name: str = strawberry.field(description="`Name` in Orthanc's configuration.")
    version: str = strawberry.field(description="The version of Orthanc.")
    has_extended_find: bool = strawberry.field(
        description="Whether Orthanc sorts and pages (1.12.5). Otherwise the gateway does, more slowly."
    )
    has_labels: bool = strawberry.field(description="Whether Orthanc has labels (1.12.0).")
    patients_count: int = strawberry.field(description="Number of patients that the caller may see.")
    studies_count: int = strawberry.field(description="Number of studies that the caller may see.")
    series_count: int = strawberry.field(description="Number of series that the caller may see.")
    instances_count: int = strawberry.field(description="Number of instances that the caller may see.")
    disk_size: ByteCount = strawberry.field(description="Total size of the files of these instances in bytes.")
    trash_days: float = strawberry.field(
        resolver=lambda: conf.ORTHANC_TRASH_DAYS,
        description="Days for which deleted patients and studies can be restored; 0: they are deleted for good.",
    )
    index: ArchiveIndex = strawberry.field(description="The gateway's index of patients and studies.")
    limits: ServerLimits = strawberry.field(resolver=_limits, description="Limits of one request.")
    advice: list[str] = strawberry.field(
        description="Changes to Orthanc's configuration that would make the gateway faster or safer."
    )
