"""The other end of the cloud link: the reference cloud, someone who listens to it, and brokers that a device must not speak to."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from machine import LOOPBACK, ROOT, wait_for
from owner import Owner

# This machine, as a guest behind QEMU's user-mode network sees it.
HOST_FROM_GUEST = "10.0.2.2"
# MQTT over TLS: of the two ports that a device's runtime can connect to at all, the one that needs no privilege.
CLOUD_PORT = 8883


class Cloud:
    """`make cloud` for an owner: mosquitto on the loopback interface, or where the owner's network has its router."""

    def __init__(self, owner: Owner, port: int = CLOUD_PORT):
        self.owner = owner
        self.address = owner.network.router if owner.network else LOOPBACK
        self.port = port
        self.ready_file = owner.home / "cloud-ready"
        self.process: subprocess.Popen | None = None

    @property
    def authority(self) -> Path:
        return self.owner.home / "cloud/ca.pem"

    @property
    def as_seen_by_device(self) -> str:
        return f"{self.address if self.owner.network else HOST_FROM_GUEST}:{self.port}"

    def __enter__(self) -> "Cloud":
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        names = ["--name", self.address, "--name", self.owner.network.broker_name] if self.owner.network else []
        command = [str(ROOT / "Toolchain/run-cloud"), "--address", self.address, "--port", str(self.port), "--ready-file", str(self.ready_file)]
        self.errors = open(self.owner.home / "cloud.err", "ab")  # noqa: SIM115 - closed in stop
        # Of the broker that went before.
        self.ready_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.owner.inside(*command, *names),
            env={**os.environ, "HAECHI_HOME": str(self.owner.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
        )
        wait_for("the broker to listen", self._is_ready, 300)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the cloud ended: {(self.owner.home / 'cloud.err').read_text()}")
        return self.ready_file.exists()

    def stop(self):
        """In order: clients are told."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(120)
        self.errors.close()

    def crash(self):
        """The broker is gone from one instruction to the next."""
        os.kill(int(self.ready_file.read_text()), signal.SIGKILL)
        self.process.wait(120)
        self.errors.close()

    def bind(self):
        self.owner.bind(self.as_seen_by_device, self.authority)

    def client(self, program: str, *arguments: str) -> list[str]:
        """A command line of mosquitto's clients, as the owner's admin."""
        certificate, key = self.owner.credentials
        at = ["-h", self.address, "-p", str(self.port), "-V", "5"]
        return self.owner.inside(program, *at, "--cafile", str(self.authority), "--cert", str(certificate), "--key", str(key), *arguments)

    def ask(self, topic: str, message: str, answer: str, deadline_s: int = 120) -> "Message":
        """Sends a command and waits for what comes to the response topic, with correlation data of its own.

        A command that comes while the device is away is lost, as MQTT has it: it is given again to a device that has connected anew since.
        """
        for is_last in (False, False, True):
            connections = self.owner.cloud()["connections"]
            mark = f"test-{time.monotonic_ns()}"
            words = ["-q", "1", "-t", topic, "-m", message, "-e", answer, "-W", str(deadline_s), "-F", Message.FORMAT]
            command = self.client("mosquitto_rr", *words, "-D", "publish", "correlation-data", mark)
            done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s + 120)
            if done.returncode == 0:
                reply = Message.read(done.stdout.strip())
                assert reply.correlation == mark
                return reply
            now = self.owner.cloud()
            was_away = now["connections"] > connections or now["state"] != "connected"
            assert was_away and not is_last, f"no answer to {message} at {topic}: {done.stderr}"


@dataclass
class Message:
    """One message as it came to a subscriber."""

    # Topic, QoS, retained, content type, expiry, user properties, correlation data, payload.
    FORMAT = "%t\\t%q\\t%r\\t%C\\t%E\\t%P\\t%D\\t%p"

    topic: str
    qos: int
    is_retained: bool
    content_type: str
    expiry_s: str
    properties: str
    correlation: str
    payload: str

    @property
    def document(self) -> dict:
        return json.loads(self.payload)

    @staticmethod
    def read(line: str) -> "Message":
        topic, qos, retained, *rest = line.split("\t", 7)
        return Message(topic, int(qos), retained == "1", *rest)


class Listener:
    """The owner's admin, subscribed to everything of one device. mosquitto_sub ends with its broker, and is started again."""

    def __init__(self, cloud: Cloud, device: str, qos: int = 1):
        """With QoS 0 what the broker has taken is on the way here at once, and survives it; of QoS 1 it keeps all but 20 until they are confirmed."""
        self.qos = str(qos)
        self.cloud = cloud
        self.topic = f"haechi/{device}"
        self.folder = tempfile.TemporaryDirectory(prefix="haechi-listener-")
        self.file = Path(self.folder.name) / "messages"
        self.is_ending = threading.Event()
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Listener":
        self.output = open(self.file, "ab")  # noqa: SIM115 - closed in __exit__
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self.wait_until_it_hears()
        return self

    def __exit__(self, *_):
        self.is_ending.set()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        self.thread.join(120)
        self.output.close()
        self.folder.cleanup()

    def _listen(self):
        command = self.cloud.client("mosquitto_sub", "-q", self.qos, "-t", f"{self.topic}/#", "-F", Message.FORMAT)
        while not self.is_ending.is_set():
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.DEVNULL)
            # It was not there yet when the others were told to end.
            if self.is_ending.is_set():
                self.process.terminate()
            self.process.wait()
            self.is_ending.wait(0.2)

    def wait_until_it_hears(self):
        """Returns once what is sent arrives here."""
        mark = f"mark-{time.monotonic_ns()}"
        send = self.cloud.client("mosquitto_pub", "-q", "1", "-t", f"{self.topic}/mark", "-m", mark)

        def is_heard() -> bool:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(send, capture_output=True, timeout=60)
            return any(message.payload == mark for message in self.messages("mark"))

        wait_for("the listener to hear", is_heard, 300)

    def messages(self, below: str = "") -> list[Message]:
        """What came so far, in order, at topics that begin so below the device's own."""
        lines = self.file.read_text(errors="replace").split("\n")[:-1]
        found = [Message.read(line) for line in lines if line.count("\t") >= 7]
        return [message for message in found if message.topic.startswith(f"{self.topic}/{below}")]

    def wait(self, what: str, below: str, condition=lambda message: True, deadline_s: float = 300) -> Message:
        """The first message there that meets the condition, once it has come."""
        return wait_for(what, lambda: next(filter(condition, self.messages(below)), None), deadline_s)


class Door:
    """A TCP port that leads to the cloud while it is open: what is behind it can be brought up before anybody comes in."""

    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.is_open = True
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        # Nobody is on the way in when it is shut.
        self.passing = threading.Lock()

    def __enter__(self) -> "Door":
        self.socket = socket.create_server((LOOPBACK, CLOUD_PORT))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shut()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(60)

    @property
    def as_seen_by_device(self) -> str:
        return f"{HOST_FROM_GUEST}:{CLOUD_PORT}"

    def shut(self):
        """Ends every connection, and lets nobody through until it is opened."""
        with self.passing:
            self.is_open = False
            for pair in self.pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            self.pairs.clear()

    def _serve(self):
        # Ends when the socket is closed.
        with contextlib.suppress(OSError):
            while True:
                outside, _ = self.socket.accept()
                try:
                    with self.passing:
                        if not self.is_open:
                            raise ConnectionRefusedError
                        inside = socket.create_connection((self.cloud.address, self.cloud.port))
                        self.pairs.append((outside, inside))
                except OSError:
                    outside.close()
                    continue
                for source, target in ((outside, inside), (inside, outside)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@dataclass
class Attempt:
    """One connection to a false broker."""

    at_s: float
    # The first bytes on the wire: of a TLS handshake record they are 16 03 01 (RFC 8446 section 5.1), whatever comes after.
    first_bytes: bytes = b""
    application_bytes: bytes = b""
    error: str = ""
    ended_s: float = 0


@dataclass
class FalseBroker:
    """A TLS server of the tests' own, which keeps every byte that a device gives it after a handshake."""

    certificate: Path
    key: Path
    client_authority: Path
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    attempts: list[Attempt] = field(default_factory=list)

    def __enter__(self) -> "FalseBroker":
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.maximum_version = self.maximum
        self.context.load_cert_chain(self.certificate, self.key)
        self.context.load_verify_locations(self.client_authority)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.socket = socket.create_server((LOOPBACK, CLOUD_PORT))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(180)

    @property
    def as_seen_by_device(self) -> str:
        return f"{HOST_FROM_GUEST}:{CLOUD_PORT}"

    def spoken(self) -> list[Attempt]:
        """The attempts in which anything was said: a connection that is given up as it is made says nothing."""
        return [attempt for attempt in self.attempts if attempt.first_bytes]

    def _serve(self):
        # Ends when the socket is closed.
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                attempt = Attempt(time.monotonic())
                self._take(connection, attempt)
                attempt.ended_s = time.monotonic()
                self.attempts.append(attempt)

    def _take(self, connection: socket.socket, attempt: Attempt):
        # The device gives a connection up after twenty seconds.
        connection.settimeout(60)
        try:
            attempt.first_bytes = connection.recv(3, socket.MSG_PEEK | socket.MSG_WAITALL)
            with connection, self.context.wrap_socket(connection, server_side=True) as tls:
                attempt.application_bytes = tls.recv(4096)
        except OSError as error:
            attempt.error = str(error)
