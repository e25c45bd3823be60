"""`laotie media`: what an operator needs of the picture's machinery."""

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import App, Parameter
from rich.console import Console

from laotie.base import settings as settings_module
from laotie.base.clock import Clock
from laotie.base.refusals import Invalid
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.web.hooks import STAGE, hook_secret

app = App(name="media", help="What stands beside Laotie for the picture.")

SEGMENT = r"[0-9a-f-]+-\d+\.ts"
PLAYLIST = r"[0-9a-f-]+\.m3u8"


class PathRefused(Invalid, code="path-refused"):
    """A path, user or address with characters that a configuration file would read as its own."""

    value: str


@app.command
def nginx_config(
    *,
    output: Annotated[Path | None, Parameter(help="The file to write; printed without it.")] = None,
    hls_dir: Annotated[Path, Parameter(help="Where nginx keeps the segments.")] = Path("/var/lib/laotie-hls"),
    rtmp_port: Annotated[int, Parameter(help="Where encoders send to.")] = 1935,
    http_port: Annotated[int, Parameter(help="Where players fetch from.")] = 8080,
    user: Annotated[str, Parameter(help="Whom nginx works as; it has to own the segments' directory.")] = "www-data",
) -> None:
    """Write a whole nginx configuration: RTMP in, HLS out, Laotie asked about every stream key.

    Needs Debian's libnginx-mod-rtmp. The file holds a secret and is readable by its owner alone.
    """
    settings = settings_module.load()
    text = write_nginx_config(settings, hls_dir=hls_dir, rtmp_port=rtmp_port, http_port=http_port, user=user)
    if output is None:
        sys.stdout.write(text)
        return
    output.touch(mode=0o600)
    output.chmod(0o600)
    output.write_text(text)
    screen = Console(stderr=True)
    screen.print(f"[green]✓[/] {output}", highlight=False)
    screen.print(f"  install -d -o {user} {hls_dir}\n  nginx -t -c {output.resolve()}", highlight=False)
    if settings.media_external_hls_url is None:
        screen.print(f"  LAOTIE_MEDIA_EXTERNAL_HLS_URL=http://<this host>:{http_port}/hls", highlight=False)
    if settings.rtmp_port == rtmp_port:
        screen.print("  LAOTIE_RTMP_PORT=0   (the built-in listener has the same port)", highlight=False)


def write_nginx_config(
    settings: Settings,
    *,
    hls_dir: Path,
    rtmp_port: int,
    http_port: int,
    user: str = "www-data",
    state_dir: Path | None = None,
) -> str:
    """The configuration's text. `state_dir` is for an nginx of one's own: its pid and log, in the foreground.

    A stream's name is its key, so little is logged (nginx writes names as errors), and nothing is kept under it: Laotie answers
    `on_publish` with the place in the second application that the stream is carried to. (A new name alone would not do:
    the HLS module has read the old one before the hook is asked.) One worker, because workers do not share streams.
    """
    for value in (str(hls_dir), user, str(state_dir or "")):
        if not value.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum() and value:
            raise PathRefused(value=value)
    here = urlsplit(settings.base_url)
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    if ":" in host:
        host = f"[{host}]"
    secret = hook_secret(Signer(settings.signing_keys(), Clock()))
    hook = f"http://{host}:{settings.port}/hooks/rtmp?secret={secret}&port={rtmp_port}"
    own = f"daemon off;\npid {state_dir}/nginx.pid;\n" if state_dir else "pid /run/nginx.pid;\n"
    log = f"{state_dir}/error.log" if state_dir else "/var/log/nginx/error.log"
    scratch = "".join(
        f"    {kind}_temp_path {state_dir}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        if state_dir
    )
    return f"""\
# Written by `laotie media nginx-config` for {here.netloc}. It holds a secret: keep it readable by root alone.
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
user {user};
worker_processes 1;
error_log {log} crit;
{own}
events {{
    worker_connections 4096;
}}

rtmp {{
    access_log off;
    server {{
        listen {rtmp_port};
        max_message 4M;
        timeout 15s;
        ping 10s;
        ping_timeout 10s;

        application live {{
            live on;
            record off;
            drop_idle_publisher 15s;
            deny play all;

            notify_method post;
            notify_update_timeout 5s;
            notify_update_strict off;
            on_publish {hook};
            on_publish_done {hook};
            on_update {hook};
        }}

        application {STAGE} {{
            live on;
            record off;
            drop_idle_publisher 15s;
            allow publish 127.0.0.1;
            deny publish all;
            deny play all;

            notify_method post;
            on_publish {hook};

            hls on;
            hls_path {hls_dir};
            hls_fragment 1s;
            hls_max_fragment 4s;
            hls_playlist_length 8s;
            hls_fragment_naming system;
            hls_cleanup on;
        }}
    }}
}}

http {{
    access_log off;
    server_tokens off;
    autoindex off;
    types {{ }}
{scratch}
    server {{
        listen {http_port};
        root /var/empty;

        location ~ "^/hls/({PLAYLIST})$" {{
            alias {hls_dir}/$1;
            limit_except GET {{ deny all; }}
            default_type application/vnd.apple.mpegurl;
            add_header Cache-Control "public, max-age=1" always;
            add_header Access-Control-Allow-Origin "*" always;
            add_header X-Content-Type-Options nosniff always;
        }}
        location ~ "^/hls/({SEGMENT})$" {{
            alias {hls_dir}/$1;
            limit_except GET {{ deny all; }}
            default_type video/mp2t;
            add_header Cache-Control "public, max-age=3600, immutable";
            add_header Access-Control-Allow-Origin "*";
            add_header X-Content-Type-Options nosniff;
        }}
        location / {{
            return 404;
        }}
    }}
}}
"""
