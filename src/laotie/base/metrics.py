"""Metrics for Prometheus: what an operator watches while a show runs. Names end in their unit."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)

REQUESTS = Counter("laotie_http_requests_total", "HTTP requests answered.", ["method", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "laotie_http_request_seconds",
    "Time from reading a request to its answer.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
ORDERS_ACCEPTED = Counter("laotie_orders_accepted_total", "Purchases accepted by the till.", registry=REGISTRY)
ORDERS_REFUSED = Counter("laotie_orders_refused_total", "Purchases refused by the till.", ["code"], registry=REGISTRY)
TILL_BATCH_SIZE = Histogram(
    "laotie_till_batch_asks",
    "Purchases decided in one transaction.",
    registry=REGISTRY,
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
TILL_BATCH_SECONDS = Histogram(
    "laotie_till_batch_seconds",
    "Time of one till transaction.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
DESK_BATCH_SECONDS = Histogram(
    "laotie_desk_batch_seconds",
    "Time of one transaction of entries to activities.",
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
SOCKETS = Gauge("laotie_sockets", "Open room sockets.", registry=REGISTRY)
SOCKETS_CLOSED = Counter(
    "laotie_sockets_closed_total", "Room sockets that the server closed, by reason.", ["code"], registry=REGISTRY
)
CHAT_SAMPLED_OUT = Counter(
    "laotie_chat_sampled_out_total", "Chat texts not shown because more was said than fits.", registry=REGISTRY
)
SAYINGS_LOST = Counter(
    "laotie_sayings_lost_total", "Chat texts that were shown but could not be kept.", registry=REGISTRY
)
CHAT_REFUSED = Counter(
    "laotie_chat_refused_total", "Chat texts that a room's rules refused or held.", ["code"], registry=REGISTRY
)
FRAMES_SENT = Counter("laotie_frames_sent_total", "Frames written to room sockets.", registry=REGISTRY)
FRAMES_READ = Counter("laotie_frames_read_total", "Frames read from room sockets.", ["kind"], registry=REGISTRY)
PUSHES = Counter("laotie_pushes_total", "Web pushes sent, by what came of them.", ["outcome"], registry=REGISTRY)
WEBHOOKS = Counter("laotie_webhooks_total", "Webhook messages sent, by what came of them.", ["outcome"], registry=REGISTRY)
LAKE_LOST = Counter("laotie_lake_lost_total", "Acts of viewers that could not be written.", registry=REGISTRY)
LAKE_WAITING = Gauge("laotie_lake_waiting", "Acts of viewers in memory, not on the disk yet.", registry=REGISTRY)
LAKE_SHIPPED = Counter("laotie_lake_shipped_total", "Rows that became parts of the lake.", ["topic"], registry=REGISTRY)
LAKE_QUARANTINED = Counter(
    "laotie_lake_quarantined_total", "Rows that cannot be true, put aside.", ["reason"], registry=REGISTRY
)
LAKE_FACTS_WAITING = Gauge("laotie_lake_facts_waiting", "Facts that are not in the lake yet.", registry=REGISTRY)
LAKE_BEHIND = Gauge("laotie_lake_behind_seconds", "How far the lake is behind what happens.", registry=REGISTRY)
LAKE_TAKES = Gauge("laotie_lake_takes", "Whether the lake takes facts (1) or its disk or store does not (0).", registry=REGISTRY)
OUTBOX_WAITING = Gauge("laotie_outbox_waiting", "Facts not carried yet.", registry=REGISTRY)
OUTBOX_PARKED = Gauge("laotie_outbox_parked", "Facts whose reactions keep failing.", registry=REGISTRY)
PROMISE_BROKEN = Gauge(
    "laotie_promise_broken", "What breaks a promise of the books; anything but 0 is an incident.", ["promise"], registry=REGISTRY
)
WATCH_AT = Gauge("laotie_watch_at_seconds", "When the books were checked last.", ["kind"], registry=REGISTRY)
WATCH_ROWS = Counter("laotie_watch_rows_total", "Rows looked at by the watch over the books.", ["kind"], registry=REGISTRY)
WATCH_SECONDS = Histogram(
    "laotie_watch_seconds",
    "Time of one run of the watch over the books.",
    ["kind"],
    registry=REGISTRY,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900),
)


def render() -> bytes:
    """The present figures in Prometheus' text form."""
    return generate_latest(REGISTRY)
