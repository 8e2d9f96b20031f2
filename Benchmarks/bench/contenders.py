"""Who is measured: the device, its parts in a server without limits, Go and nginx."""

import contextlib
import os
import pathlib
import secrets
import socket
import subprocess
import tempfile
import time

from . import build, processes
from .credentials import SHORT_ARCS, Credentials

BODY_BYTES = 16 << 20
BURST_EVENTS = 500
# The body of GET /v1/info as the API encodes it.
_INFO = (
    '{"apiVersions":["v1"],"deviceId":"00112233445566778899","firmwareVersion":"0.1.0","hardwareModel":"virtual","lifeCycleState":"owned",'
    '"manufacturer":"Haechi","model":"climate-node","ownerId":"99887766554433221100","serialNumber":"HC-0001","variant":"host"}'
)

DEVICE, PARTS, BEFORE, GO, NGINX = "haechid", "haechi-bench", "before", "Go", "nginx"
# Set by `--before`: another build of haechi-bench, which then takes part wherever haechi-bench does.
before_program = None
NOTE_PARTS = (
    "haechi-bench: the device's TLS and LocalAPI targets behind a listener without the device's limits (a device holds 32 connections of the "
    "loopback address). The 16 MB body is TLS alone: the API has no end point of that size."
)


@contextlib.contextmanager
def running(*names):
    """Starts the named contenders, all at once, so that samples can alternate; ends them afterwards."""
    makers = {DEVICE: _device, PARTS: parts, BEFORE: _before, GO: _go, NGINX: _nginx}
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        credentials = Credentials(folder)
        servers = {}
        for name in names:
            server = makers[name](folder, credentials)
            stack.callback(server.stop)
            servers[name] = server
        yield servers


def parts(folder, credentials, *options, before=(), program=None):
    """haechi-bench serve. `before`: words in front of the command, as for a tool that watches it. `program`: another build of it."""
    keys = ["--certificate", credentials.file("server.pem"), "--key", credentials.file("server.key"), "--owner", credentials.file("owner.pem")]
    sizes = ["--body-bytes", BODY_BYTES, "--burst", BURST_EVENTS]
    command = [*before, program or build.swift("haechi-bench"), "serve", *keys, *sizes, *options]
    number = len(list(folder.glob("parts-*.log")))
    server = processes.Server(command, folder / f"parts-{number}.log")
    server.credentials = credentials.client_arguments()

    def ports():
        return next((line.split()[1:] for line in server.log().splitlines() if line.startswith("listening ")), None)

    api, body = server.wait_for("its ports", ports, seconds=300)
    server.address, server.body_address = f"127.0.0.1:{api}", f"127.0.0.1:{body}"
    return server


def with_before(*names):
    """`names`, and the other build of haechi-bench behind it where there is one."""
    return [other for name in names for other in ((name, BEFORE) if name == PARTS and before_program else (name,))]


def _before(folder, credentials):
    return parts(folder, credentials, program=before_program)


def _go(folder, _):
    credentials = Credentials(folder / "go", SHORT_ARCS)
    port = _free_port()
    server = processes.Server(
        [
            build.go_server(), "-listen", f"127.0.0.1:{port}", "-certificate", credentials.file("server.pem"), "-key", credentials.file("server.key"),
            "-authority", credentials.file("owner.pem"), "-body-bytes", BODY_BYTES, "-burst", BURST_EVENTS,
        ],
        folder / "go.log",
    )  # fmt: skip
    server.credentials = credentials.client_arguments()
    server.address = server.body_address = f"127.0.0.1:{port}"
    _wait_for_port(server, port)
    return server


def _nginx(folder, credentials):
    port = _free_port()
    root = folder / "nginx"
    root.mkdir()
    root.joinpath("body").write_bytes(bytes(BODY_BYTES))
    headers = "".join(
        f"add_header {name} always;"
        for name in ('Strict-Transport-Security "max-age=63072000; includeSubDomains"', "Cache-Control no-store", "X-Content-Type-Options nosniff")
    )
    root.joinpath("nginx.conf").write_text(
        f"""
        daemon off; worker_processes 1; pid {root}/pid; error_log stderr error; {"user root;" if os.geteuid() == 0 else ""}
        events {{ worker_connections 4096; }}
        http {{
          access_log off; server_tokens off; keepalive_requests 1000000000; keepalive_timeout 600s;
          client_body_temp_path {root}/1; proxy_temp_path {root}/2; fastcgi_temp_path {root}/3; uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;
          server {{
            listen 127.0.0.1:{port} ssl backlog=1024;
            ssl_certificate {credentials.file("server.pem")}; ssl_certificate_key {credentials.file("server.key")};
            ssl_client_certificate {credentials.file("owner.pem")}; ssl_verify_client on; ssl_protocols TLSv1.3;
            ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384; ssl_ecdh_curve X25519:prime256v1; ssl_session_tickets on; ssl_session_cache off;
            location = /v1/info {{ default_type application/json; {headers} return 200 '{_INFO}'; }}
            location = /body {{ root {root}; }}
          }}
        }}""",
        encoding="utf-8",
    )
    server = processes.Server(["nginx", "-e", "stderr", "-p", root, "-c", root / "nginx.conf"], folder / "nginx.log")
    server.credentials = credentials.client_arguments()
    server.address = server.body_address = f"127.0.0.1:{port}"
    _wait_for_port(server, port)
    return server


def _device(folder, _):
    """The real device on the virtual board, provisioned and claimed by the operator's tool; its owner's certificates are the tool's."""
    port = _free_port()
    # The throwaway owner's key lies under a passphrase like every owner's; this one dies with it.
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(secrets.token_hex(16), encoding="utf-8")
    environment = os.environ | {"HAECHI_HOME": str(folder / "operator"), "HAECHI_PASSPHRASE_FILE": str(passphrase)}
    tool = build.swift("haechi")

    def haechi(*words):
        subprocess.run([tool, *words], env=environment, check=True, stdout=subprocess.DEVNULL)

    maker = folder / "maker"
    haechi("maker", "new", "--out", str(maker))
    server = processes.Server(
        [build.swift("haechid"), "--listen", f"127.0.0.1:{port}", "--maker-ca", maker / "maker-ca.der", "--state", folder / "device"],
        folder / "device.log",
    )
    _wait_for_port(server, port)
    haechi("provision", "--station", str(maker), "--device", f"127.0.0.1:{port}", "--serial-number", "BENCH-1")
    haechi("owner", "new")
    # Somebody must stand at the device: its button is a file here.
    button = folder / "device" / "gpio" / "button"
    for value in ("1", "0"):
        button.write_text(value + "\n", encoding="utf-8")
        time.sleep(0.3)
    label = folder / "operator" / "labels" / "BENCH-1.txt"
    haechi("claim", "--maker-ca", str(maker / "maker-ca.pem"), "--device", f"127.0.0.1:{port}", "--label-file", str(label))
    owner = folder / "operator" / "owner"
    member = next(iter((owner / "members").glob("*.pem")))
    server.address = f"127.0.0.1:{port}"
    server.credentials = ["-certificate", str(member), "-key", str(member.with_suffix(".key")), "-authority", str(owner / "ca.pem")]
    return server


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_port(server, port):
    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    server.wait_for(f"port {port}", answers)
    # The probe's own connection is to be gone before anything is measured.
    time.sleep(0.2)
