"""The reference cloud for development: mosquitto with mutual TLS 1.3 alone, and rights that come from the client's certificate."""

import contextlib
import ctypes
import dataclasses
import ipaddress
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

from .console import ToolchainError

# What the host is called from itself, and from a guest behind QEMU's user-mode network (10.0.2.2).
NAMES = ("localhost", "127.0.0.1", "::1", "10.0.2.2")
# The authority outlives any device of a developer's; a server certificate is made anew when it has less than a day.
_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 365
_DAY_S = 86_400
# The role of a person (docs/protocol.md), an extension of the certificate, as `openssl asn1parse` shows it.
_ROLE = re.compile(
    r":2\.25\.86869528671686314334224178961834048173\.2\.1\n(?:.*BOOLEAN.*\n)?"
    r".*OCTET STRING\s+\[HEX DUMP\]:0C[0-9A-F]{2}([0-9A-F]+)\n"
)
# A name that goes into a file of rules as it is: a person's (docs/protocol.md). A device's id is one too.
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass
class Request:
    home: pathlib.Path
    owner: pathlib.Path
    authorities: list
    address: str
    port: int
    names: list
    ready_file: pathlib.Path | None


def home_folder(environment):
    """Where `haechi` keeps its things: HAECHI_HOME, else XDG_CONFIG_HOME/haechi, else HOME/.config/haechi."""
    if environment.get("HAECHI_HOME"):
        return pathlib.Path(environment["HAECHI_HOME"])
    if environment.get("XDG_CONFIG_HOME", "").startswith("/"):
        return pathlib.Path(environment["XDG_CONFIG_HOME"]) / "haechi"
    if environment.get("HOME"):
        return pathlib.Path(environment["HOME"]) / ".config/haechi"
    raise ToolchainError("neither HAECHI_HOME nor HOME is set, so there is no folder to keep keys in; set HAECHI_HOME to one.")


def configuration(folder, address, port, user):
    """mosquitto's configuration: one listener, mutual TLS 1.3, nobody without a certificate, nothing kept on disk but the log."""
    lines = [
        f"listener {port} {address}",
        f"cafile {folder / 'clients.pem'}",
        f"certfile {folder / 'server.pem'}",
        f"keyfile {folder / 'server.key'}",
        # The lowest that is taken, and there is none higher.
        "tls_version tlsv1.3",
        "require_certificate true",
        # The certificate's common name: a device's id, a person's name.
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {folder / 'rights'}",
        "persistence false",
        # A device's longest message has some hundred bytes.
        "message_size_limit 65536",
        f"log_dest file {folder / 'log'}",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        # Who hears what, and from when on.
        "log_type subscribe",
        # Started by root it would become a user that cannot read these files.
        f"user {user}",
    ]
    return "\n".join(lines) + "\n"


def rights(people):
    """mosquitto's list of rights. `people`: {name: role}. What is not listed may not be done.

    A pattern counts for everybody, and %u is who the certificate says it is: nobody can act under another's name.
    """
    lines = ["pattern write haechi/%u/#", "pattern read haechi/%u/command/#", "pattern read haechi/%u/erased"]
    for name in sorted(people):
        # A viewer must not be able to do over the cloud what the device refuses him.
        access = "read" if people[name] == "viewer" else "readwrite"
        lines += ["", f"user {name}", f"topic {access} haechi/#"]
    return "\n".join(lines) + "\n"


def subject_alternative_names(names):
    """OpenSSL's line for the names of the server; each once, addresses as addresses."""
    entries = []
    for name in dict.fromkeys(names):
        try:
            entries.append(f"IP:{ipaddress.ip_address(name)}")
        except ValueError:
            if not _HOST_NAME.fullmatch(name):
                raise ToolchainError(f"--name {name!r} is neither a host name nor an address.") from None
            entries.append(f"DNS:{name}")
    return ",".join(entries)


def _openssl(*words):
    try:
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolchainError("openssl is not there; install the package openssl.") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason"]
        raise ToolchainError(f"openssl {words[0]} failed: {said[-1]}.")
    return done.stdout


def person_of(certificate):
    """(name, role) of a person's certificate; the role is empty where it has none."""
    subject = _openssl("x509", "-in", certificate, "-noout", "-subject", "-nameopt", "multiline,utf8,-esc_msb")
    name = re.search(r"^\s*commonName\s*=\s*(.*)$", subject, re.MULTILINE)
    if not name or not _PLAIN_NAME.fullmatch(name[1]):
        raise ToolchainError(f"{certificate} is not a person's certificate: its common name is no person's name.")
    role = _ROLE.search(_openssl("asn1parse", "-in", certificate))
    return name[1], bytes.fromhex(role[1]).decode("utf-8", "replace") if role else ""


def members_of(owner):
    """{name: role} of the owner's members who have a role."""
    folder = owner / "members"
    found = dict(person_of(path) for path in sorted(folder.glob("*.pem"))) if folder.is_dir() else {}
    return {name: role for name, role in found.items() if role}


def make_authority(folder):
    """The cloud's own throwaway authority, made at the first start: `ca.pem`, `ca.key`."""
    if (folder / "ca.pem").exists():
        return
    settings = "[req]\ndistinguished_name=name\nx509_extensions=authority\nprompt=no\n[name]\nCN=Haechi development cloud\n"
    settings += "[authority]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
    (folder / "ca.cnf").write_text(settings, encoding="ascii")
    _new_key(folder / "ca.key")
    part = folder / "ca.part"
    _openssl("req", "-x509", "-new", "-sha256", "-days", _AUTHORITY_DAYS, "-config", folder / "ca.cnf", "-key", folder / "ca.key", "-out", part)
    (folder / "ca.cnf").unlink()
    # The certificate last, by name: a folder that has it is whole.
    part.replace(folder / "ca.pem")


def make_server(folder, names):
    """The server's certificate, made anew when it ends soon or the names are others: `server.pem`, `server.key`."""
    wanted = subject_alternative_names(names)
    recorded = folder / "server.names"
    if recorded.exists() and recorded.read_text(encoding="utf-8") == wanted and _lasts_a_day(folder / "server.pem"):
        return
    recorded.unlink(missing_ok=True)
    _new_key(folder / "server.key")
    request, extensions = folder / "server.csr", folder / "server.extensions"
    _openssl("req", "-new", "-sha256", "-subj", "/CN=Haechi development broker", "-key", folder / "server.key", "-out", request)
    extensions.write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        f"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName={wanted}\n",
        encoding="ascii",
    )
    words = ["x509", "-req", "-sha256", "-days", _SERVER_DAYS, "-in", request, "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"]
    _openssl(*words, "-CAcreateserial", "-extfile", extensions, "-out", folder / "server.pem")
    request.unlink()
    extensions.unlink()
    recorded.write_text(wanted, encoding="utf-8")


def _new_key(path):
    # The file first, so that no moment shows the key to others.
    path.touch(mode=0o600)
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _lasts_a_day(certificate):
    words = ["openssl", "x509", "-in", str(certificate), "-noout", "-checkend", str(_DAY_S)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def prepare(request):
    """Writes everything that mosquitto reads into the cloud folder of the operator's home, and returns that folder."""
    authorities = [request.owner / "ca.pem", *request.authorities]
    if not authorities[0].exists():
        if not request.authorities:
            raise ToolchainError(f"there is no owner in {request.owner} yet; claim a device first (haechi claim), or give --client-ca FILE.")
        authorities = request.authorities
    folder = request.home.absolute() / "cloud"
    if any(character in str(folder) for character in "\n\r"):
        raise ToolchainError("the path of HAECHI_HOME has a line break in it, which mosquitto cannot read.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        clients = "".join(pathlib.Path(path).read_text(encoding="ascii").strip() + "\n" for path in authorities)
    except (OSError, UnicodeDecodeError) as error:
        raise ToolchainError(f"an authority of clients cannot be read: {error}.") from error
    for path in authorities:
        _openssl("x509", "-in", path, "-noout")
    make_authority(folder)
    make_server(folder, [*NAMES, *request.names])
    (folder / "clients.pem").write_text(clients, encoding="ascii")
    rights_file = folder / "rights"
    rights_file.touch(mode=0o600)
    rights_file.write_text(rights(members_of(request.owner)), encoding="ascii")
    text = configuration(folder, request.address, request.port, pwd.getpwuid(os.getuid()).pw_name)
    (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
    return folder


def check_port(address, port):
    """Refuses a port that somebody has, in one sentence instead of mosquitto's log."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ToolchainError(f"{address}:{port} cannot be listened at: {error.strerror}; name another port with PORT=N.") from error


def program():
    """mosquitto; a distribution puts it where only root looks."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise ToolchainError("mosquitto is not there; run Toolchain/need host, or install the package mosquitto.")
    return found


def _tie_to_parent():
    """In the child: it ends when this process ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(folder):
    """Starts mosquitto with the configuration in `folder`; its log goes to `log` there."""
    command = [program(), "-c", str(folder / "mosquitto.conf")]
    return subprocess.Popen(
        command,
        preexec_fn=_tie_to_parent,  # noqa: PLW1509 - one thread
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_until_it_listens(broker, folder, address, port):
    """Returns once the broker takes connections; its last words are the error when it ends instead."""
    while True:
        if broker.poll() is not None:
            raise ToolchainError(f"mosquitto ended with status {broker.returncode}: {_last_words(folder)}.")
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=5):
            return
        time.sleep(0.05)


def _last_words(folder):
    log = folder / "log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return lines[-1].rstrip(".") if lines else "it gave no reason"


def run(request, say):
    """Runs the cloud until it is told to end (SIGINT, SIGTERM)."""

    def interrupted(number, _frame):
        raise SystemExit(0 if number == signal.SIGTERM else 128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupted)
    program()
    folder = prepare(request)
    check_port(request.address, request.port)
    (folder / "log").unlink(missing_ok=True)
    if request.ready_file:
        request.ready_file.unlink(missing_ok=True)
    broker = start(folder)
    try:
        wait_until_it_listens(broker, folder, request.address, request.port)
        say(folder)
        if request.ready_file:
            part = request.ready_file.with_name(request.ready_file.name + ".part")
            part.write_text(f"{broker.pid}\n", encoding="ascii")
            part.replace(request.ready_file)
        broker.wait()
        raise ToolchainError(f"mosquitto ended with status {broker.returncode}: {_last_words(folder)}.")
    finally:
        if broker.poll() is None:
            broker.terminate()
            try:
                broker.wait(10)
            except subprocess.TimeoutExpired:
                broker.kill()
                broker.wait()
        if request.ready_file:
            request.ready_file.unlink(missing_ok=True)
