"""Settings: the environment (`LAOTIE_*`) over one TOML file over the defaults here.

The file is `LAOTIE_CONFIG`, or `laotie.toml` in the data directory. `docs/settings.md` is written from this module.
"""

import os
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from laotie.base.refusals import Invalid

ENVIRONMENT_PREFIX = "LAOTIE_"


def about(text: str, **limits: Any) -> msgspec.Meta:
    """A setting's one-line description."""
    return msgspec.Meta(description=text, **limits)


class SettingRefused(Invalid, code="setting-refused"):
    """A setting has a value that does not fit, or a name that does not exist."""

    reason: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    data_dir: Annotated[str, about("Where the embedded database, keys, recordings and caches live.")] = "data"
    database_url: Annotated[
        str | None,
        about("PostgreSQL 16 or newer to use instead of the embedded one, e.g. `postgresql://user:…@host/laotie`."),
    ] = None
    embedded_postgres_version: Annotated[int, about("Which of the bundled PostgreSQL releases to start: 16 or 18.")] = (
        18
    )
    embedded_shared_buffers_mb: Annotated[
        int, about("Memory the embedded PostgreSQL caches pages in (MB).", ge=16, le=65536)
    ] = 1024
    database_pool_max: Annotated[int, about("Most connections one process opens.", ge=4, le=500)] = 16
    database_wait_s: Annotated[
        int, about("How long to wait at the start for the database that LAOTIE_DATABASE_URL names.", ge=0, le=3600)
    ] = 60
    host: Annotated[str, about("Address the HTTP and WebSocket door listens on.")] = "127.0.0.1"
    port: Annotated[int, about("Port of the HTTP and WebSocket door.", ge=1, le=65535)] = 8000
    gateway_port: Annotated[
        int | None, about("A port of its own for the sockets, without HTTP in front; unset: the same port.")
    ] = None
    rtmp_host: Annotated[str, about("Address the RTMP listener binds.")] = "127.0.0.1"
    rtmp_port: Annotated[int, about("Port of the RTMP listener; 0 turns it off.", ge=0, le=65535)] = 1935
    public_url: Annotated[
        str | None, about("The address people and providers reach this service at; unset: `http://host:port`.")
    ] = None
    tls_certificate: Annotated[str | None, about("PEM file of the certificate chain, to serve TLS directly.")] = None
    tls_key: Annotated[str | None, about("PEM file of the certificate's key.")] = None
    trusted_proxies: Annotated[
        str,
        about("Comma-separated addresses or networks whose `X-Forwarded-*` headers are believed; empty: nobody's."),
    ] = ""
    secret_keys: Annotated[
        str | None,
        about(
            "Comma-separated signing keys, oldest first, each 32+ characters; unset: one is made in the data directory."
        ),
    ] = None
    currency: Annotated[str, about("Currency of new shops unless they say otherwise (ISO 4217).")] = "CNY"
    payment_providers: Annotated[
        str,
        about(
            "Comma-separated ways to pay that buyers may choose from, the first one first: `sandbox` (moves no money),"
            " `stripe`, `alipay`, `wechat`."
        ),
    ] = "sandbox"
    payment_authorise_first: Annotated[
        bool, about("Have money kept ready first and taken right afterwards, where the provider can do so.")
    ] = False
    pooling: Annotated[
        bool,
        about(
            "Take money for other people's sales by providers that cannot split it. In most places that needs a licence."
        ),
    ] = False
    payment_poll_after_s: Annotated[
        int,
        about("Of what no provider has told anything for so long (seconds), it is asked; then ever less often.", ge=10),
    ] = 120
    stripe_api_key: Annotated[
        str | None, about("Stripe's secret or restricted API key (`sk_…`, `rk_…`). Never logged, nor any key below.")
    ] = None
    stripe_webhook_secret: Annotated[
        str | None, about("Signing secrets of Stripe's webhook endpoint (`whsec_…`), comma-separated while one changes.")
    ] = None
    stripe_api_url: Annotated[str | None, about("Address of Stripe's API, for tests; unset: Stripe's own.")] = None
    alipay_app_id: Annotated[str | None, about("Alipay: the application's id (`2021…`).")] = None
    alipay_private_key: Annotated[
        str | None, about("Alipay: PEM file with the application's private key (RSA2).")
    ] = None
    alipay_public_key: Annotated[
        str | None, about("Alipay: PEM file with Alipay's public key, as its console shows it.")
    ] = None
    alipay_gateway_url: Annotated[
        str | None, about("Alipay's gateway, for its sandbox or tests; unset: `https://openapi.alipay.com/gateway.do`.")
    ] = None
    wechat_merchant_id: Annotated[str | None, about("WeChat Pay: the merchant number (`mchid`).")] = None
    wechat_app_id: Annotated[str | None, about("WeChat Pay: the application that the merchant number is bound to.")] = None
    wechat_private_key: Annotated[
        str | None, about("WeChat Pay: PEM file with the merchant's private key (`apiclient_key.pem`).")
    ] = None
    wechat_certificate_serial: Annotated[
        str | None, about("WeChat Pay: serial number of the merchant's certificate.")
    ] = None
    wechat_api_key: Annotated[str | None, about("WeChat Pay: the APIv3 key (32 characters), which opens messages.")] = None
    wechat_public_key: Annotated[
        str | None, about("WeChat Pay: PEM file with WeChat Pay's public key (`pub_key.pem`).")
    ] = None
    wechat_public_key_id: Annotated[
        str | None, about("WeChat Pay: the id of that public key (`PUB_KEY_ID_…`).")
    ] = None
    wechat_api_url: Annotated[str | None, about("Address of WeChat Pay's API, for tests; unset: WeChat Pay's own.")] = None
    sandbox_secret: Annotated[
        str | None,
        about(
            "Webhook secrets of the sandbox provider, comma-separated, oldest first; unset: derived from the signing keys."
        ),
    ] = None
    sandbox_trouble_bps: Annotated[
        int,
        about(
            "Of 10,000 sandbox payments, how many have their messages delayed, repeated, swapped or lost at first.",
            ge=0,
            le=10_000,
        ),
    ] = 0
    sandbox_fee_bps: Annotated[
        int, about("What the sandbox says that it took of a payment (ten-thousandths).", ge=0, le=1_000)
    ] = 60
    payment_timeout_s: Annotated[
        int, about("How long stock is kept for an unpaid order (seconds).", ge=10, le=86_400)
    ] = 900
    confirm_after_delivery_days: Annotated[
        int, about("When an order completes by itself after its delivery, unless the shop says otherwise (days).", ge=1, le=90)
    ] = 7
    confirm_after_shipping_days: Annotated[
        int, about("When an order completes by itself after shipping while no delivery is known (days).", ge=1, le=180)
    ] = 15
    confirm_extension_days: Annotated[
        int, about("How much longer a buyer may take, asked for once an order (days).", ge=1, le=30)
    ] = 3
    settlement_delay_h: Annotated[
        int, about("How long after its completion an order is settled, unless a rule says otherwise (hours).", ge=0, le=8_784)
    ] = 168
    books_zone: Annotated[
        str, about("Whose calendar the books follow: the IANA time zone in which a statement's day and month begin.")
    ] = "Asia/Shanghai"
    lake_url: Annotated[
        str | None,
        about("Where the event lake lies, by fsspec: `file:///…`, `s3://bucket/…`; unset: `lake/` in the data directory."),
    ] = None
    lake_part_every_s: Annotated[
        float, about("How soon what viewers do becomes part of the lake (seconds).", ge=0.1, le=3_600)
    ] = 10.0
    lake_fill: Annotated[
        bool,
        about("Whether the worker tells the lake by itself what it lacks of money, shows, follows: after an upgrade, in a new place."),
    ] = True
    lake_behind_s_max: Annotated[
        int, about("How far the lake's watermark may be behind before the watch calls it an incident (seconds).", ge=60, le=604_800)
    ] = 3_600
    lake_behaviour_days: Annotated[
        int,
        about(
            "How long what viewers did is kept in the lake (days); its figures stay, and so does money. 0: for ever.",
            ge=0,
            le=36_500,
        ),
    ] = 400
    analytics_url: Annotated[
        str | None,
        about("The engine that computes the figures: unset, DuckDB in this process; `spark://host:7077`, a Spark cluster."),
    ] = None
    analytics_memory_mb: Annotated[
        int, about("Memory the embedded engine may use for a figure (MB); beyond it, it works on disk.", ge=128)
    ] = 2048
    figure_s_max: Annotated[
        float,
        about("How long a figure may be computed for a page or a program (seconds); beyond it, it is broken off.", ge=0.1, le=3_600),
    ] = 30.0
    rollup_every_s: Annotated[
        int, about("How often the figures of finished days are looked after (s), so that no question works them out again.", ge=10)
    ] = 300
    carrier_secrets: Annotated[
        str | None,
        about("Webhook secrets of carriers, comma-separated `carrier=secret`, oldest first; e.g. `sf=…,zto=…`."),
    ] = None
    sandbox_carrier_step_s: Annotated[
        int, about("How often the sandbox carrier moves its parcels a step (seconds); 0 switches it off.", ge=0)
    ] = 0
    bank_account_cooling_h: Annotated[
        int, about("How long nothing is paid to a bank account that was just written down (hours).", ge=0, le=720)
    ] = 72
    payout_minimum: Annotated[
        int, about("Below this (minor units of the currency) nothing is paid out; it waits for more.", ge=1)
    ] = 1_000
    payout_draft_hour: Annotated[
        int, about("From what hour of the day, in `books_zone`, payouts are drafted by themselves; -1: by hand only.", ge=-1, le=23)
    ] = 6
    payout_payer_name: Annotated[str | None, about("Holder of the account that payouts are made from, for pain.001.")] = None
    payout_payer_iban: Annotated[str | None, about("IBAN of that account.")] = None
    payout_payer_bic: Annotated[str | None, about("BIC of that account's bank, if the bank wants it.")] = None
    fun_spend_per_day_max: Annotated[
        int,
        about("Most money one streamer's activities may give away in 24 hours (minor units of the currency).", ge=0),
    ] = 2_000_000
    till_batch_max: Annotated[int, about("Most purchases decided in one transaction.", ge=1, le=4096)] = 512
    till_waiting_max: Annotated[
        int, about("Most purchases waiting in one process; beyond it the answer is `too-busy`.", ge=1)
    ] = 20_000
    viewer_buys_per_s: Annotated[
        int, about("Purchases one viewer may ask for a second over room sockets.", ge=1, le=1_000_000)
    ] = 5
    viewer_chats_per_s: Annotated[
        float, about("Chat texts one viewer may send a second, over all of their sockets.", gt=0, le=1_000_000)
    ] = 1.0
    room_chats_per_s: Annotated[
        int, about("Chat texts a room shows a second; beyond it a fair sample is shown. 0 shows everything.", ge=0)
    ] = 400
    sockets_per_address_max: Annotated[
        int, about("Room sockets one address may hold in one process; loopback is exempt.", ge=1)
    ] = 512
    session_days: Annotated[int, about("How long a sign-in lasts without use (days).", ge=1, le=365)] = 30
    registrations_per_hour: Annotated[
        int, about("How many accounts one network address may open in an hour, per process.", ge=1)
    ] = 60
    api_requests_per_minute: Annotated[
        int, about("How many requests one API key may make in a minute, per process; 0: as many as it likes.", ge=0)
    ] = 600
    vapid_subject: Annotated[
        str | None,
        about("Whom a push service may write to about our web pushes (`mailto:…` or `https://…`); unset: `public_url`."),
    ] = None
    vapid_key: Annotated[
        str | None,
        about("Private key of web push (P-256, base64url), for several hosts; unset: one is made in the data directory."),
    ] = None
    push_private: Annotated[
        bool, about("Let web push call private addresses and plain HTTP: for tests and push services of your own network.")
    ] = False
    webhook_private: Annotated[
        bool,
        about("Let webhooks call private addresses, plain HTTP and any port: for developing, and receivers of your own network."),
    ] = False
    log_level: Annotated[str, about("`debug`, `info`, `warning` or `error`.")] = "info"
    log_form: Annotated[str, about("`json`, `text`, or `auto`: text on a terminal, JSON otherwise.")] = "auto"
    recording_days: Annotated[
        int,
        about(
            "How long a show's recording is kept (days); it cannot be removed earlier. The law may ask for three years.",
            ge=1,
            le=36_500,
        ),
    ] = 1095
    recording_reserve_mb: Annotated[
        int,
        about("Room that recordings leave free on their disk (MB); below it they pause and say so, the show goes on.", ge=0),
    ] = 1024
    video_bytes_max: Annotated[int, about("Largest video file that may be brought (bytes).", ge=1024**2)] = 512 * 1024**2
    video_seconds_max: Annotated[int, about("Longest video (seconds).", ge=5, le=7_200)] = 600
    video_side_max: Annotated[int, about("Most pixels along the longer side of a video.", ge=320, le=8_192)] = 4_096
    video_kbits_max: Annotated[
        int, about("Bit rate (kbit/s) above which a video is encoded anew, and the ceiling then.", ge=500, le=50_000)
    ] = 8_000
    video_cpu_s_max: Annotated[int, about("Processor time that preparing one video may take (seconds).", ge=30)] = 1_800
    video_jobs_max: Annotated[int, about("Videos prepared at once, over all processes.", ge=1, le=64)] = 1
    picture_bytes_max: Annotated[int, about("Largest picture file that may be brought (bytes).", ge=100_000)] = 16 * 1024**2
    picture_pixels_max: Annotated[
        int, about("Most pixels of a picture that is brought; more is not decoded.", ge=1_000_000, le=200_000_000)
    ] = 50_000_000
    media_grace_s: Annotated[
        int, about("How long a lost encoder may stay away and still return to its show (seconds).", ge=5, le=3600)
    ] = 60
    media_external_hls_url: Annotated[
        str | None,
        about("Where players find the HLS of nginx-rtmp (`laotie media nginx-config`), without the slash at the end."),
    ] = None
    media_external_rtmp_url: Annotated[
        str | None, about("The RTMP address shown to streamers instead of the built-in listener's, e.g. nginx's.")
    ] = None
    watch_every_s: Annotated[
        int, about("How often the books are checked for what has changed (seconds).", ge=5, le=86_400)
    ] = 60
    watch_whole_every_s: Annotated[
        int,
        about(
            "How often all of the books are checked (seconds); never more than a twentieth of the time is spent on it.",
            ge=60,
            le=604_800,
        ),
    ] = 3_600
    watch_limit_s: Annotated[
        int, about("How long one check of the books may take; what it did not get to is left out (seconds).", ge=10, le=86_400)
    ] = 1_800
    ffmpeg: Annotated[str | None, about("Path of an ffmpeg to use instead of the one in the wheel.")] = None

    @property
    def base_url(self) -> str:
        """The address others reach this service at, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.tls_certificate else "http"
        return f"{scheme}://{self.host}:{self.port}"

    @property
    def data_path(self) -> Path:
        """The data directory, absolute."""
        return Path(self.data_dir).expanduser().resolve()

    def signing_keys(self) -> list[str]:
        """The signing keys, oldest first; made once and kept readable by the owner alone when none are set."""
        if self.secret_keys:
            keys = [key.strip() for key in self.secret_keys.split(",") if key.strip()]
            if not keys or any(len(key) < 32 for key in keys):
                raise SettingRefused(reason="secret_keys: each key needs 32 characters or more")
            return keys
        path = self.data_path / "secret.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
        return [path.read_text().strip()]


def load(overrides: dict[str, Any] | None = None, *, environment: dict[str, str] | None = None) -> Settings:
    """Read all settings; a wrong one is refused with its name and what is expected."""
    env = dict(os.environ) if environment is None else environment
    given = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in env.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != f"{ENVIRONMENT_PREFIX}CONFIG" and value != ""
    }
    given |= {name: value for name, value in (overrides or {}).items() if value is not None}
    default_dir = Settings().data_dir
    path = Path(env.get(f"{ENVIRONMENT_PREFIX}CONFIG") or Path(str(given.get("data_dir", default_dir))) / "laotie.toml")
    from_file: dict[str, Any] = {}
    if path.exists():
        try:
            from_file = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SettingRefused(reason=f"{path}: {error}") from None
    elif f"{ENVIRONMENT_PREFIX}CONFIG" in env:
        raise SettingRefused(reason=f"{path} does not exist")
    known = {field.name for field in msgspec.structs.fields(Settings)}
    stray = sorted((given.keys() | from_file.keys()) - known)
    if stray:
        raise SettingRefused(reason=f"no such setting: {', '.join(stray)}; see docs/settings.md")
    try:
        settings = msgspec.convert({**from_file, **given}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingRefused(reason=str(error)) from None
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingRefused(reason="tls_certificate and tls_key go together")
    return settings


def document() -> str:
    """`docs/settings.md`, from the definitions above."""
    hints = get_type_hints(Settings, include_extras=True)
    lines = [
        "# Settings",
        "",
        "Set by environment variable, or by the lower-case name in one TOML file (`LAOTIE_CONFIG`, else `laotie.toml`",
        "in the data directory). The environment wins. This page is written by `laotie settings --document`.",
        "",
        "| variable | default | what it does |",
        "| --- | --- | --- |",
    ]
    for field in msgspec.structs.fields(Settings):
        meta = next(m for m in get_args(hints[field.name])[1:] if isinstance(m, msgspec.Meta))
        default = "unset" if field.default is None else f"`{field.default}`" if field.default != "" else "empty"
        lines.append(f"| `{ENVIRONMENT_PREFIX}{field.name.upper()}` | {default} | {meta.description} |")
    return "\n".join(lines) + "\n"
