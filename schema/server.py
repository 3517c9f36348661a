"""The type of the Orthanc behind the gateway."""

import strawberry

from orthancproxy.conf import conf


@strawberry.type(description="What one request may ask for at the most.")
class ServerLimits:
    """The settings that bound a request."""

    max_upload_files: int = strawberry.field(description="How many files one upload may have.")
    max_upload_bytes: str = strawberry.field(description="How many bytes one upload may have.")
    max_page_size: int = strawberry.field(description="The largest `first` of a list.")
    max_objects: int = strawberry.field(
        description="How many patients, studies, series and instances, counted together, one request may ask for."
    )
    max_seconds: float = strawberry.field(description="Seconds after which a request that reads is not continued.")
    max_query_tokens: int = strawberry.field(
        description="How many tokens a query may have, comments included; and 25 characters for each."
    )
    max_query_depth: int = strawberry.field(
        description="How deep its fields may be nested, and lists and objects in an argument."
    )
    max_query_fields: int = strawberry.field(
        description="How many fields it may select, its fragments spread out; each time one is spread is one more."
    )
    max_query_aliases: int = strawberry.field(description="How many aliases it may have, its fragments spread out.")
    max_query_repeats: int = strawberry.field(
        description="How many directives, fragments and operations it may have, of each, and how often it may select "
        "one field in one place of the answer."
    )


def _limits() -> ServerLimits:
    return ServerLimits(
        max_upload_files=conf.ORTHANC_MAX_UPLOAD_FILES,
        max_upload_bytes=str(conf.ORTHANC_MAX_UPLOAD_BYTES),
        max_page_size=conf.ORTHANC_MAX_PAGE_SIZE,
        max_objects=conf.ORTHANC_MAX_OBJECTS,
        max_seconds=conf.ORTHANC_MAX_SECONDS,
        max_query_tokens=conf.ORTHANC_MAX_QUERY_TOKENS,
        max_query_depth=conf.ORTHANC_MAX_QUERY_DEPTH,
        max_query_fields=conf.ORTHANC_MAX_QUERY_FIELDS,
        max_query_aliases=conf.ORTHANC_MAX_QUERY_ALIASES,
        max_query_repeats=conf.ORTHANC_MAX_QUERY_REPEATS,
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
