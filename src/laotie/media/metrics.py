"""What Prometheus may ask of media."""

from prometheus_client import Counter, Gauge

from laotie.base.metrics import REGISTRY

CHANNELS = Gauge("laotie_media_channels", "Channels by state.", ["state"], registry=REGISTRY)
INGEST_BYTES = Counter("laotie_media_ingest_bytes_total", "Media bytes taken from encoders.", registry=REGISTRY)
DROPPED = Counter("laotie_media_dropped_total", "Media messages thrown away.", registry=REGISTRY)
PARTS = Counter("laotie_media_parts_total", "Parts made.", registry=REGISTRY)
ENCODER_RESTARTS = Counter(
    "laotie_media_encoder_restarts_total", "Times that ffmpeg died and was started again.", registry=REGISTRY
)
REFUSED = Counter(
    "laotie_media_refused_total", "Encoders refused or cut off, by the refusal's code.", ["code"], registry=REGISTRY
)
ANSWERS = Counter("laotie_media_answers_total", "Answers to players by status.", ["status"], registry=REGISTRY)
ANSWER_BYTES = Counter("laotie_media_answer_bytes_total", "Bytes answered to players.", registry=REGISTRY)
WAITERS = Gauge("laotie_media_waiters", "Players waiting in a blocking request.", registry=REGISTRY)
MEMORY = Gauge("laotie_media_window_bytes", "Media held in memory.", registry=REGISTRY)
RECORDED_BYTES = Counter("laotie_media_recorded_bytes_total", "Media bytes written to recordings.", registry=REGISTRY)
RECORDING_DROPPED = Counter(
    "laotie_media_recording_dropped_total", "Segments that no recording kept because of the disk.", registry=REGISTRY
)
RECORDINGS_BYTES = Gauge("laotie_media_recordings_bytes", "What all recordings take, as last swept.", registry=REGISTRY)
