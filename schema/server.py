"""The type of the Orthanc behind the gateway."""

import strawberry

from orthancproxy.conf import conf


@strawberry.type(description="What one request may ask for at the most.")
class ServerLimits:
    """The settings that bound a request."""

    max_upload_files: int = strawberry.field(description="How many files one upload may have.")
    max_upload_bytes: str = strawberry.field(description="How many bytes one upload may have.")
    max_page_size: int = strawberry.field(description="The largest `first` of a list.")


def _limits() -> ServerLimits:
    return ServerLimits(
        max_upload_files=conf.ORTHANC_MAX_UPLOAD_FILES,
        max_upload_bytes=str(conf.ORTHANC_MAX_UPLOAD_BYTES),
        max_page_size=conf.ORTHANC_MAX_PAGE_SIZE,
    )


@strawberry.type(description="The Orthanc behind the gateway.")
class Server:
    """`orthancproxy.resolvers.hierarchy.Server`."""

    name: str = strawberry.field(description="`Name` in Orthanc's configuration.")
    version: str = strawberry.field(description="Orthanc's version.")
    has_extended_find: bool = strawberry.field(
        description="Whether this Orthanc sorts and pages by itself (1.12.5); else the gateway does it, more slowly."
    )
    has_labels: bool = strawberry.field(description="Whether this Orthanc has labels (1.12.0).")
    patients_count: int = strawberry.field(description="How many patients the viewer may see.")
    studies_count: int = strawberry.field(description="How many studies the viewer may see.")
    series_count: int = strawberry.field(description="How many series the viewer may see.")
    instances_count: int = strawberry.field(description="How many instances the viewer may see.")
    disk_size: str = strawberry.field(description="The size of their files in bytes; more than an Int holds.")
    limits: ServerLimits = strawberry.field(resolver=_limits, description="What one request may ask for.")
    advice: list[str] = strawberry.field(
        description="What in this Orthanc's configuration would make the gateway faster or safer."
    )
