"""What the gateway counts, as Prometheus has it. `project/monitoring` serves it, and sets the gauges.

A label has few values, which the code declares: no id, no path, no patient data, and nothing that a client chooses. The
metrics are in the default registry of prometheus_client, so that a project that embeds the gateway can serve them.
"""

from prometheus_client import Counter, Gauge, Histogram

PREFIX = "orthanc_gateway_"
# from a cached list to ORTHANC_MAX_SECONDS
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _counter(name: str, documentation: str, *labels: str) -> Counter:
    return Counter(PREFIX + name, documentation, labels)


def _histogram(name: str, documentation: str, *labels: str) -> Histogram:
    return Histogram(PREFIX + name, documentation, labels, buckets=SECONDS)


def _gauge(name: str, documentation: str, *labels: str) -> Gauge:
    """Return a gauge whose value is the sum of those of all workers that live."""
    return Gauge(PREFIX + name, documentation, labels, multiprocess_mode="livesum")


def _gauge_of_each(name: str, documentation: str) -> Gauge:
    """Return a gauge with a value for each worker that lives, by its label `pid`."""
    return Gauge(PREFIX + name, documentation, multiprocess_mode="liveall")


def _gauge_of_all(name: str, documentation: str, *labels: str) -> Gauge:
    """Return a gauge of what all workers share: the value that one of them has set last."""
    return Gauge(PREFIX + name, documentation, labels, multiprocess_mode="livemostrecent")


REQUESTS = _counter(
    "requests", "Requests that have ended, by the template of the route and the status.", "method", "route", "status"
)
REQUEST_SECONDS = _histogram(
    "request_duration_seconds",
    "Time from the first byte of a request to its log line; without event streams.",
    "route",
)
REQUESTS_IN_PROGRESS = _gauge("requests_in_progress", "Requests that are in progress, event streams among them.")
REQUEST_BYTES = _counter("request_body_bytes", "Bytes of the bodies of requests.", "route")
RESPONSE_BYTES = _counter("response_body_bytes", "Bytes of the bodies of responses.", "route")
ERRORS = _counter("errors", "Errors in responses, by their code in GraphQL and REST.", "route", "code")
REJECTED_HEADS = _counter("rejected_heads", "Requests that were rejected before they had a route.", "status")

OPERATIONS = _counter(
    "operations",
    "Operations, by their name in the audit log: a root field, or the method and template of a route.",
    "operation",
    "outcome",
)
OPERATION_SECONDS = _histogram("operation_duration_seconds", "Time that an operation took.", "operation")

ORTHANC_CALLS = _counter(
    "orthanc_calls", "Calls to Orthanc, by the template of the path; status 0: no response.", "endpoint", "status"
)
ORTHANC_CALL_SECONDS = _histogram(
    "orthanc_call_duration_seconds", "Time until Orthanc has answered; a download has begun then.", "endpoint"
)
ORTHANC_CALL_FAILURES = _counter("orthanc_call_failures", "Calls that failed, by the gateway's error.", "error")
CALLS_IN_PROGRESS = _gauge("orthanc_calls_in_progress", "Calls to Orthanc that have a slot, by their kind.", "kind")
CALLS_WAITING = _gauge("orthanc_calls_waiting", "Calls that wait for a slot.")
CALL_SLOTS = _gauge("orthanc_call_slots", "Calls that may be made at once.")

POOL_SIZE = _gauge("pool_threads_max", "Maximum number of threads of a pool.", "pool")
POOL_BUSY = _gauge("pool_threads_busy", "Threads of a pool that work.", "pool")
POOL_WAITING = _gauge("pool_tasks_waiting", "Tasks that wait for a thread of a pool.", "pool")
DATABASE_CONNECTIONS = _gauge("database_pool_connections", "Connections of the pool (PostgreSQL).")
DATABASE_IDLE = _gauge("database_pool_connections_idle", "Connections of the pool that nobody uses.")
DATABASE_WAITING = _gauge("database_pool_requests_waiting", "Threads that wait for a connection of the pool.")

CACHE_BYTES = _gauge("cache_bytes", "Memory that a cache takes.", "cache")
CACHE_MAX_BYTES = _gauge("cache_max_bytes", "Memory that a cache may take.", "cache")
CACHE_HITS = _counter("cache_hits", "Entries of a cache that were used.", "cache")
CACHE_MISSES = _counter("cache_misses", "Entries that a cache did not have, or of another revision.", "cache")

INDEX_STATE = _gauge_of_all("index_state", "1 for the state of the index, 0 for the others.", "state")
INDEX_STUDIES = _gauge_of_all("index_studies", "Studies in the index.")
INDEX_LAG = _gauge_of_all("index_lag_changes", "Changes of Orthanc that the index has not seen yet.")

UPLOADS = _counter("uploads", "Uploads and STOW-RS requests, by outcome.", "outcome")
UPLOADED_FILES = _counter("uploaded_files", "Files of uploads, by outcome.", "outcome")
UPLOADED_BYTES = _counter("uploaded_bytes", "Bytes of the files of uploads.")
UPLOADS_RECEIVED = _gauge("uploads_receiving", "Long bodies of uploads that are received now.")
UPLOADS_WAITING = _gauge("uploads_waiting", "Long bodies of uploads that wait for others (ORTHANC_MAX_UPLOADS).")

EVENT_STREAMS = _gauge("event_streams", "Event streams that are open.")
AUDIT_EVENTS = _counter(
    "audit_events", "Events of the audit log; outcome SUPPRESSED: left out by the rate limit.", "kind", "outcome"
)
AUDIT_WAITING = _gauge_of_all(
    "audit_events_waiting", "Events that the audit repository (ORTHANC_AUDIT_SYSLOG) has not got yet, 100,000 at most."
)

WORKERS = _gauge("workers", "Worker processes that live.")
CPU_SECONDS = _counter("process_cpu_seconds", "CPU time of all worker processes.")
MEMORY_BYTES = _gauge_of_each("process_resident_memory_bytes", "Resident memory of a worker process.")
OPEN_FILES = _gauge_of_each("process_open_fds", "Open file descriptors of a worker process.")
MAX_OPEN_FILES = _gauge_of_each("process_max_fds", "Maximum number of open file descriptors.")
START_TIME = _gauge_of_each("process_start_time_seconds", "Start of a worker process, in seconds since 1970.")


def method_label(method: str | None) -> str:
    """Return a method of a request as a label: a client can send any word."""
    return method if method in METHODS else "other"
