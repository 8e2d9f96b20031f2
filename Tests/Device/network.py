"""A network of the tests' own: a namespace with a bridge, a DHCP and DNS server, a tap for the machine and a capture."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import wait_for

# Sends its last argument from its first to its second, port 9 (discard), where every host of the link gets it and none answers.
SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sending.bind((sys.argv[1], 0))
    sending.sendto(sys.argv[3].encode(), (sys.argv[2], 9))
"""
PCAP_HEAD_BYTES = 24


def _run(*command: str):
    subprocess.run(command, check=True, capture_output=True)


class GuestNetwork:
    """192.0.2.0/24 (TEST-NET-1, RFC 5737) inside a network namespace; the machine's tap is `tap0`."""

    router = "192.0.2.1"
    broadcast = "192.0.2.255"
    # What the resolver there says is the router: a broker can be bound by name.
    broker_name = "broker.haechi.test"

    def __init__(self):
        self.namespace = f"haechi-{os.getpid()}"
        self.folder = tempfile.TemporaryDirectory(prefix="haechi-network-")
        self.capture_file = Path(self.folder.name) / "capture.pcap"
        self.leases = Path(self.folder.name) / "leases"
        self.children: list[subprocess.Popen] = []
        self.known: dict[str, str] = {}

    def __enter__(self) -> "GuestNetwork":
        _run("ip", "netns", "add", self.namespace)
        inside = ("ip", "-n", self.namespace)
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        _run(*inside, "tuntap", "add", "tap0", "mode", "tap")
        _run(*inside, "link", "set", "tap0", "master", "br0")
        _run(*inside, "address", "add", f"{self.router}/24", "dev", "br0")
        _run(*inside, "link", "set", "br0", "up")
        _run(*inside, "link", "set", "tap0", "up")
        # Each second takes a block of a quarter of a MiB: of the usual eight, a tcpdump that stands still for longer loses what comes then.
        self.start("tcpdump", "-i", "tap0", "-B", "32768", "-U", "-w", str(self.capture_file), "-Z", "root")
        self.start(
            "dnsmasq", "--no-daemon", "--no-hosts", "--no-resolv", "--conf-file=/dev/null", "--interface=br0", "--bind-interfaces",
            "--dhcp-range=192.0.2.50,192.0.2.60,1h", f"--dhcp-leasefile={self.leases}", "--user=root",
            f"--host-record={self.broker_name},{self.router}",
        )  # fmt: skip
        # Its head is there once it captures: what a machine says first is not missed.
        wait_for("tcpdump to capture", lambda: self.capture_file.exists() and self.capture_file.stat().st_size >= PCAP_HEAD_BYTES)
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                child.wait(120)
        _run("ip", "netns", "delete", self.namespace)
        self.folder.cleanup()

    def start(self, *command: str) -> subprocess.Popen:
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.children.append(child)
        return child

    def run(self, *command: str, timeout_s: float = 600) -> str:
        """Runs a command inside the namespace and returns its output."""
        inside = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(inside, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s).stdout

    def lease(self) -> str | None:
        """The address that the machine was given, once it was."""
        return next(iter(self.given().values()), None)

    def given(self) -> dict[str, str]:
        """Hardware addresses, and what addresses they were given. The file is written anew in place: what stands in it in part is not read."""
        if self.leases.exists():
            for line in self.leases.read_text().splitlines(keepends=True):
                # Until when, hardware address, address, name, client's identifier.
                if line.endswith("\n") and len(fields := line.split()) == 5:
                    self.known[fields[1]] = fields[2]
        return self.known

    def command(self, *command: str) -> list[str]:
        """The command, as one that runs inside the namespace."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def add_host(self, address: str) -> str:
        """One more address that connections can come from."""
        _run("ip", "-n", self.namespace, "address", "add", f"{address}/24", "dev", "br0")
        return address

    def wait_for_device(self) -> str:
        """The machine's address, once it speaks TLS there."""
        address = wait_for("a DHCP lease", self.lease, 300)
        reach = ("timeout", "20", "openssl", "s_client", "-connect", f"{address}:8443", "-tls1_3")
        wait_for("TLS at the leased address", lambda: "BEGIN CERTIFICATE" in self.run(*reach), 300)
        return address

    def capture(self) -> Path:
        """A copy of what tcpdump has written so far."""
        copy = self.capture_file.with_suffix(".copy")
        shutil.copy(self.capture_file, copy)
        return copy

    def whole_capture(self) -> Path:
        """The same, once all that was on the wire before is in it: on a busy machine tcpdump is seconds behind."""
        mark = f"mark-{time.monotonic_ns()}"

        def is_there() -> bool:
            self.run(sys.executable, "-c", SEND, self.router, self.broadcast, mark)
            return mark.encode() in self.capture().read_bytes()

        wait_for("the capture to come as far", is_there, 300, 1)
        return self.capture()
