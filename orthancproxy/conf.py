"""The settings: each with its default, its bounds and its description.

    from orthancproxy.conf import conf

    conf.ORTHANC_BASE_URL

A value is the Django setting of that name if the project defines it, else the default, so that a project that
defines none can mount the app.
"""

from collections.abc import Sequence

from orthancproxy.setting import Setting, declared

_DAY_SECONDS = 86_400  # far above what a proxy in between waits for


class Configuration:
    """The settings of the gateway."""

    ORTHANC_BASE_URL = Setting("http://localhost:8042", "URL of Orthanc's REST API. Clients never see it.")
    ORTHANC_USERNAME = Setting("", "User name for Orthanc (HTTP basic authentication).")
    ORTHANC_PASSWORD = Setting("", "Password of that user.", secret=True)
    ORTHANC_CA_BUNDLE = Setting(
        "", "PEM file with the certificate authorities to trust for Orthanc; if empty, the public ones."
    )
    ORTHANC_CONNECT_TIMEOUT = Setting(
        10.0, "Seconds to wait for a connection to Orthanc.", above=0, maximum=_DAY_SECONDS
    )
    ORTHANC_READ_TIMEOUT = Setting(
        30.0, "Seconds to wait for the next bytes of Orthanc's response.", above=0, maximum=_DAY_SECONDS
    )
    ORTHANC_CLIENT_TIMEOUT = Setting(
        60.0,
        "Time limit in seconds for request headers, and the window over which body and response must average 500 B/s. "
        "Slower clients are disconnected.",
        above=0,
        maximum=_DAY_SECONDS,
    )
    ORTHANC_MAX_DOWNLOADS = Setting(
        12,
        "Maximum number of concurrent downloads (files and ZIPs) per worker process; each occupies one of Orthanc's "
        "HTTP threads while the client reads. Never more than half of the process's part of `ORTHANC_MAX_CALLS`, and "
        "half of them are for one caller. Further downloads wait for up to 30 seconds.",
        minimum=1,
        maximum=1000,
    )
    ORTHANC_ACCEL_REDIRECT = Setting(
        "",
        "Internal location of nginx from which it gets files and ZIPs of Orthanc once the gateway has authorized and "
        "audited the request, as in `docker/nginx/nginx.conf`: `/orthanc-files`; empty if the gateway streams them.",
    )
    ORTHANC_MAX_CALLS = Setting(
        40,
        "Maximum number of concurrent calls to Orthanc, of which each worker process makes an equal part. Multiplied "
        "by the hosts, it must be below `HttpThreadsCount` of Orthanc (50). At most half are downloads, and a tenth "
        "finds that read files; each caller has at most a third, besides downloads. Further calls wait for up to 30 "
        "seconds.",
        minimum=2,
        maximum=1000,
    )
    WEB_CONCURRENCY = Setting(
        1,
        "Number of worker processes on this host, which uvicorn and gunicorn read too; the Docker image starts 2. They "
        "share `ORTHANC_MAX_CALLS`.",
        minimum=1,
        maximum=1000,
    )
    ORTHANC_POOL_SIZE = Setting(
        32, "Number of connections to Orthanc that each worker process keeps open.", minimum=1, maximum=1000
    )
    ORTHANC_CACHE_BYTES = Setting(
        128 * 1024**2,
        "Memory in bytes that each worker process may take to keep instances, and counts of studies, between requests; "
        "0 to turn that off. They are shown if Orthanc confirms in the same request that their series or study is "
        "unchanged (1.12.5 and newer). A quarter as much again is for the metadata that DICOMweb sends of series.",
        minimum=0,
        maximum=1024**4,
    )
    ORTHANC_CACHE_MIN_AGE = Setting(
        2.0,
        "Seconds that the last change of a series or study must be past, by Orthanc's clock, before its instances or "
        "counts are kept. If several Orthancs share a database, at least 1.5 more than their clocks differ.",
        minimum=1.5,
        maximum=_DAY_SECONDS,
    )
    ORTHANC_DEBUG_LOG = Setting(False, "Log every call to Orthanc with its duration, without patient data.")
    ORTHANC_INDEX = Setting(
        True,
        "Keep an index of patients and studies in the gateway's database, which selects the pages of lists. Needs "
        "Orthanc 1.12.5.",
    )
    ORTHANC_COMPILED_EXECUTION = Setting(
        True, "Compile GraphQL selections to Python expressions. Without it, the same responses take longer."
    )
    ORTHANC_MAX_PAGE_SIZE = Setting(1000, "Maximum number of items on a page of a list.", minimum=1, maximum=1000)
    ORTHANC_MAX_OBJECTS = Setting(
        100_000,
        "Maximum number of patients, studies, series and instances, in total, that a request may ask for.",
        minimum=1,
        maximum=10_000_000,
    )
    ORTHANC_MAX_SECONDS = Setting(
        60.0,
        "Time limit in seconds for a request that reads. Uploads, deletions and downloads may take longer.",
        above=0,
        maximum=_DAY_SECONDS,
    )
    ORTHANC_MAX_QUERY_TOKENS = Setting(
        4000,
        "Maximum number of tokens (names, values, brackets, comments) in a GraphQL query. The maximum length is 25 "
        "characters for each. Also the maximum number of values in its variables, besides files and their folders.",
        minimum=1,
        maximum=100_000,
    )
    ORTHANC_MAX_QUERY_DEPTH = Setting(
        20,
        "Maximum depth of nested fields, and of nested lists and objects in an argument; introspection needs 15.",
        minimum=1,
        maximum=200,  # graphql-core parses no deeper query
    )
    ORTHANC_MAX_QUERY_FIELDS = Setting(
        500,
        "Maximum number of selected fields after expanding fragments; each spread counts as one.",
        minimum=1,
        maximum=100_000,
    )
    ORTHANC_MAX_QUERY_ALIASES = Setting(
        50, "Maximum number of aliases after expanding fragments.", minimum=1, maximum=100_000
    )
    ORTHANC_MAX_QUERY_REPEATS = Setting(
        50,
        "Maximum number of directives, of fragments, of operations, and of selections of one field in one place in "
        "the response.",
        minimum=1,
        maximum=100_000,
    )
    ORTHANC_INTROSPECTION = Setting(
        False,
        "Allow clients to read the GraphQL schema, which GraphiQL needs for completion, and suggest names for "
        "misspelled ones. Also on with Django's `DEBUG` and in `make run`.",
    )
    ORTHANC_MAX_UPLOAD_FILES = Setting(
        10_000,
        "Maximum number of files in an upload, including those inside ZIP files.",
        minimum=1,
        maximum=1_000_000,
    )
    ORTHANC_MAX_UPLOAD_BYTES = Setting(
        16 * 1024**3,
        "Maximum size of an upload in bytes, including the decompressed files inside ZIP files.",
        minimum=1,
        maximum=1024**4,
    )
    ORTHANC_MAX_UPLOADS = Setting(
        16,
        "Maximum number of upload requests of more than 1 MB that each worker process receives concurrently, half of "
        "them from one caller. Further uploads wait for up to 30 seconds.",
        minimum=1,
        maximum=1000,
    )
    ORTHANC_MAX_STREAMS = Setting(
        2000,
        "Maximum number of event streams that each worker process keeps open, a tenth of them for one caller. Each "
        "takes a connection and about 60 KB.",
        minimum=10,
        maximum=100_000,
    )
    ORTHANC_UPLOAD_THREADS = Setting(
        4,
        "Number of uploaded files that each worker process rewrites and sends to Orthanc concurrently.",
        minimum=1,
        maximum=64,
    )
    ORTHANC_DEFAULT_STUDY_DESCRIPTION = Setting(
        "Uploaded images",
        "StudyDescription of an upload whose request has none and whose files have none or different ones.",
    )
    ORTHANC_DEFAULT_ENCODING = Setting(
        "Latin1",
        "Character set of text in uploaded files that is neither in their SpecificCharacterSet nor UTF-8: the value of "
        "Orthanc's option `DefaultEncoding`, which Orthanc does not tell, such as `Korean` or `Japanese`.",
    )
    ORTHANC_THUMBNAIL_SIZE = Setting(256, "Longer side of a thumbnail in pixels.", minimum=1, maximum=2048)
    ORTHANC_URL_LIFETIME = Setting(
        900.0,
        "Seconds for which a signed URL of a file, an image or a ZIP works.",
        above=0,
        maximum=_DAY_SECONDS,
    )
    ORTHANC_MAX_SHARE_DAYS = Setting(
        30, "Maximum number of days for which a link to a study can be shared.", minimum=1, maximum=3650
    )
    ORTHANC_VIEWER_URL = Setting(
        "",
        "URL at which a DICOM viewer opens a study, with `{StudyInstanceUID}`, `{PatientID}`, `{AccessionNumber}`, "
        "`{orthancId}` or `{dicomweb}` (the URL of the gateway's DICOMweb) in it, such as "
        "`/ohif/viewer?StudyInstanceUIDs={StudyInstanceUID}`; empty if there is none.",
    )
    ORTHANC_VIEWING_MINUTES = Setting(
        5.0,
        "Minutes for which the files and images of a series that a caller gets have one event of the audit log before "
        "the first, and one with their number afterwards. 0: one event for each.",
        minimum=0,
        maximum=30,  # export_audit waits for outcomes for an hour
    )
    ORTHANC_AUDIT_SYSLOG = Setting(
        "",
        "Audit repository to which the events of the audit are sent as DICOM audit messages, by syslog over TLS: "
        "`tls://audit.example.org:6514`; empty for none.",
    )
    ORTHANC_AUDIT_CA_BUNDLE = Setting(
        "", "PEM file with the certificate authorities to trust for the audit repository; if empty, the system's."
    )
    ORTHANC_AUDIT_CERTIFICATE = Setting(
        "", "PEM file with the gateway's certificate, and what else is in its chain, for the audit repository."
    )
    ORTHANC_AUDIT_KEY = Setting(
        "", "PEM file with the key of that certificate, without a password; if empty, it is in the certificate's file."
    )
    ORTHANC_AUDIT_SOURCE = Setting(
        "",
        "Name of the gateway in the audit messages that it sends, the same on all its hosts; if empty, the host name.",
    )
    ORTHANC_AUDIT_DAYS = Setting(
        0,
        "Days for which the events of the audit stay in the database, and a day more at most. Then they are deleted, "
        "but never before they are archived (`ORTHANC_AUDIT_ARCHIVE_DIR`) and sent (`ORTHANC_AUDIT_SYSLOG`): at least "
        "one of the two must be set. 0: they stay for ever.",
        minimum=0,
        maximum=36_500,
    )
    ORTHANC_AUDIT_ARCHIVE_DIR = Setting(
        "",
        "Folder for gzipped files with the events that are older than `ORTHANC_AUDIT_DAYS`; all hosts need the same "
        "one. Empty: no files.",
    )
    ORTHANC_CHANGES_DAYS = Setting(
        7,
        "Days for which the log of changes of the archive is kept. Clients that were away for longer get "
        "`CURSOR_EXPIRED`. 0: there is no log, and requests for changes are rejected.",
        minimum=0,
        maximum=3650,
    )
    ORTHANC_DESTINATIONS: Setting[Sequence[str]] = Setting(
        (),
        "Servers of Orthanc's configuration to which users with the permission `send` may send: DICOM modalities by "
        "name (`PACS`), Orthanc peers as `peer:NAME`, DICOMweb servers as `dicomweb:NAME`; `*` for all of them. If "
        "empty, nothing can be sent.",
    )
    ORTHANC_TRASH_DAYS = Setting(
        0.0,
        "Days for which patients and studies that are deleted can be restored, before they are deleted for good; 0 to "
        "delete them at once. Needs an Orthanc with labels (1.12.0). All gateways to one Orthanc must have the same.",
        minimum=0,
        maximum=3650,
    )
    ORTHANC_SOURCES: Setting[Sequence[str]] = Setting(
        (),
        "DICOM modalities of Orthanc's configuration, by name (`PACS`), that users with the permission `retrieve` may "
        "search for studies, and retrieve these from; `*` for all of them. If empty, nothing can be retrieved.",
    )
    ORTHANC_JOB_DAYS = Setting(30, "Days for which jobs are listed after their end.", minimum=1, maximum=3650)
    ORTHANC_PSEUDONYM_KEY = Setting(
        "",
        "Secret of at least 32 characters with which the pseudonyms of projects are made (`anonymizeStudy`); if empty, "
        "there are no projects. With another key, patients who have no pseudonym in a project yet get other ones.",
        secret=True,
    )
    ORTHANC_EVENTS_SECRET = Setting(
        "",
        "Secret with which Orthanc tells the gateway what it deletes, at `/orthanc-events` "
        "(`docker/orthanc-events.lua`); empty to turn that off.",
        secret=True,
    )
    ORTHANC_TRUST_FORWARDED = Setting(
        False,
        "Trust `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix` for absolute URLs, and `-For` for the client's "
        "address. Enable it only behind a proxy that sets or removes all five.",
    )
    ORTHANC_CORS_ORIGINS: Setting[Sequence[str]] = Setting(
        (),
        "Origins whose pages may call the gateway from a browser, with credentials, such as "
        "`https://viewer.example.org`.",
    )
    ORTHANC_CORS_HEADERS: Setting[Sequence[str]] = Setting(
        (),
        "Headers that pages of ORTHANC_CORS_ORIGINS may send besides those of the gateway, of Apollo Client and of "
        "tracing (`traceparent`, `baggage`, `sentry-trace`).",
    )
    ORTHANC_OIDC_ISSUER = Setting(
        "",
        "OpenID Connect provider whose access tokens are accepted, and at which users log in if "
        "`ORTHANC_OIDC_CLIENT_ID` is set: exactly as in the claim `iss`, such as "
        "`https://login.example.org/realms/hospital`; empty for none.",
    )
    ORTHANC_OIDC_AUDIENCE = Setting(
        "",
        "Value that the claim `aud` of access tokens must contain: the gateway's name at the provider. In Keycloak, an "
        "audience mapper of the client adds it. If empty, no access tokens are accepted.",
    )
    ORTHANC_OIDC_ALGORITHMS: Setting[Sequence[str]] = Setting(
        ("RS256", "PS256", "ES256", "EdDSA"), "Accepted signature algorithms; all must be asymmetric."
    )
    ORTHANC_OIDC_JWKS_URL = Setting(
        "",
        "URL of the provider's keys, which are cached for 5 minutes; empty to look it up in the provider's "
        "`/.well-known/openid-configuration`.",
    )
    ORTHANC_OIDC_KEYS_HOURS = Setting(
        1.0,
        "Hours for which the provider's keys stay good, since the provider last sent them, while it does not answer; 0 "
        "for the 5 minutes of the cache.",
        minimum=0,
        maximum=720,
    )
    ORTHANC_OIDC_CA_BUNDLE = Setting(
        "", "PEM file with the certificate authorities to trust for the provider; if empty, the system's."
    )
    ORTHANC_OIDC_USERNAME_CLAIM = Setting(
        "preferred_username",
        "Claim with the user name. Tokens without this claim are rejected, unless this setting has its default: then "
        "their `sub` is used.",
    )
    ORTHANC_OIDC_ROLES_CLAIM = Setting(
        "realm_access.roles",
        "Claim with the roles, as text or as a list. Dots separate the names of nested claims "
        "(`resource_access.gateway.roles`), unless a claim has the whole name.",
    )
    ORTHANC_OIDC_ROLE_GROUPS: Setting[Sequence[str]] = Setting(
        (),
        "Django group of each role, as `role=Group`; other roles are ignored. If empty, each role is the name of "
        "a group.",
    )
    ORTHANC_ANONYMOUS_ACTIONS: Setting[Sequence[str]] = Setting(
        (), "Actions that anonymous callers may perform, such as `view,download`."
    )
    ORTHANC_LOG_FORMAT = Setting("json", "`json` for one JSON object per line, `console` for human readers.")


conf = Configuration()
SETTINGS = declared(Configuration)
