"""A booted image as an evaluator meets it: a network port, a serial line, a disk, a power switch."""

import base64
import contextlib
import errno
import hashlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
# The debug image's GPIO simulator: the pull of the line that is the button.
BUTTON = "/sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio2/pull"


# Below those that the kernel gives to connections by itself: a machine that is off for a moment finds its port free again. Each is given once.
ports = random.sample(range(20_000, 30_000), 10_000)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    while True:
        port = ports.pop()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((LOOPBACK, port))
            return port


def wait_for(what: str, condition, deadline_s: float = 300, interval_s: float = 0.2):
    """Polls until `condition()` gives something true, and returns it. The deadline is generous: machines are slow, not tests strict."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        time.sleep(interval_s)


def copy_device(device: Path, to: Path) -> Path:
    """A copy of a device's disk, variables and TPM, holes and all."""
    subprocess.run(["cp", "-a", "--sparse=always", str(device), str(to)], check=True)
    return to


def install(device: Path, image: Path):
    """The device has the firmware of this image from now on, also where it was not made from it."""
    (device / "made-from").write_text(hashlib.sha256((image / "manifest.json").read_bytes()).hexdigest())


class Machine:
    """One QEMU machine started by `Images/qemu`. Use as a context manager."""

    def __init__(
        self,
        variant: str,
        *,
        image: Path | None = None,
        boot: str = "direct",
        tpm: bool = False,
        mem: int | None = None,
        net: str | None = None,
        namespace: str | None = None,
        serial_on_stdio: bool = False,
        device: Path | None = None,
        log_writes: Path | None = None,
        disk: str = "good",
        port: int | None = None,
        extra: tuple[str, ...] = (),
    ):
        """With a `device` folder its disk, variables and TPM stay there for the next machine; without one they are forgotten."""
        self.variant = variant
        self.image = image or ROOT / "Images/out" / f"qemu-virt-{variant}"
        self.folder = tempfile.TemporaryDirectory(prefix="haechi-machine-")
        self.path = Path(self.folder.name)
        self.port = port or free_port()
        self.serial_file = self.path / "serial"
        self.monitor = self.path / "monitor"
        self.serial_text = ""
        self.namespace = namespace
        command = [str(ROOT / "Images/qemu"), "--variant", variant, "--image", str(self.image), "--boot", boot]
        command += ["--device", str(device)] if device else ["--snapshot"]
        command += ["--monitor", str(self.monitor)]
        command += ["--tpm"] if tpm else []
        command += ["--log-writes", str(log_writes)] if log_writes else []
        command += ["--disk", disk] if disk != "good" else []
        command += ["--mem", str(mem)] if mem else []
        command += ["--net", net] if net else ["--hostfwd-port", str(self.port)]
        command += ["--serial", "stdio" if serial_on_stdio else str(self.serial_file)]
        command += ["--", *extra] if extra else []
        if namespace:
            command = ["ip", "netns", "exec", namespace, *command]
        self.command = command
        self.serial_on_stdio = serial_on_stdio
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Machine":
        self.errors = open(self.path / "qemu.err", "wb")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE if self.serial_on_stdio else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.serial_on_stdio else self.errors,
            stderr=self.errors,
            start_new_session=True,
        )
        if self.serial_on_stdio:
            threading.Thread(target=self._read_serial, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.power_off()
        self.errors.close()
        self.folder.cleanup()

    def _read_serial(self):
        while chunk := self.process.stdout.read1(4096):
            self.serial_text += chunk.decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def complaint(self) -> str:
        """What the runner said on its standard error."""
        return (self.path / "qemu.err").read_text(errors="replace")

    def power_off(self):
        """Pulls the plug: ends the runner and its children by their process group."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(120)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def cut_power(self):
        """Kills the machine and its TPM in the middle of whatever they do."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(120)

    def serial(self) -> bytes:
        """Everything the serial line said so far."""
        if self.serial_on_stdio:
            return self.serial_text.encode()
        return self.serial_file.read_bytes() if self.serial_file.exists() else b""

    def type(self, text: str):
        """Types on the serial line."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def flood(self, data: bytes, deadline_s: float = 10) -> int:
        """Sends as much on the serial line as the machine takes, and returns how many bytes that were: no driver, no flow."""
        os.set_blocking(self.process.stdin.fileno(), False)
        sent, end = 0, time.monotonic() + deadline_s
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += os.write(self.process.stdin.fileno(), data[sent : sent + 4096])
            except BlockingIOError:
                time.sleep(0.05)
        return sent

    def shell(self, command: str, deadline_s: float = 180) -> str:
        """Runs one command in the debug image's rescue shell, once, and returns what it printed.

        The log shares the line: the answer comes in one piece, in base 64 with its length, and is asked for again where something cut it in two.
        """
        mark = f"m{time.monotonic_ns()}"
        # What is typed is echoed, and holds no mark in angle brackets.
        run = f'[ "$m" = {mark} ] || {{ r=$({{ {command}; }} 2>&1 | base64 -w 0); m={mark}; }}; echo "<$m:${{#r}}:$r>"\n'
        answer = re.compile(f"<{mark}:(\\d+):([A-Za-z0-9+/=]*)>")
        start = len(self.serial_text)

        def whole() -> re.Match | None:
            return next((found for found in answer.finditer(self.serial_text, start) if int(found[1]) == len(found[2])), None)

        for _ in range(3):
            self.type(run)
            with contextlib.suppress(AssertionError):
                found = wait_for("the rescue shell", whole, deadline_s / 3)
                return base64.b64decode(found[2]).decode(errors="replace").strip("\n")
        raise AssertionError(f"the rescue shell did not answer {command!r} in three attempts: {self.serial_text[-2000:]}")

    def press_button(self):
        """Presses the button for a moment.

        A debug image's lines are simulated, and its shell moves them. A release image's button is the machine's own power key
        (PL061 line 3), which QEMU presses for a tenth of a second.
        """
        if self.variant == "debug":
            # In one command: held for ten seconds it would mean something else.
            self.shell(f"for f in {BUTTON}; do echo pull-up > $f; sleep 0.3; echo pull-down > $f; done")
        else:
            self.qmp("system_powerdown")

    def qmp(self, execute: str, **arguments):
        """One command to QEMU's own monitor (QMP over a UNIX socket)."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(str(self.monitor))
            stream = connection.makefile("rw")
            json.loads(stream.readline())
            for name, values in (("qmp_capabilities", {}), (execute, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                stream.flush()
                while "event" in (answer := json.loads(stream.readline())):
                    pass
            return answer

    def break_disk(self, *operations: str):
        """From now on these operations of the disk (`read`, `write`, `flush`, …) fail; none: it is whole again. It was started with disk="faulty"."""
        beneath = "disk-file"
        if operations:
            rules = [{"event": "none", "iotype": operation, "errno": errno.EIO} for operation in operations]
            self.must("blockdev-add", driver="blkdebug", **{"node-name": "disk-faults", "image": "disk-file", "inject-error": rules})
            beneath = "disk-faults"
        self.must("blockdev-reopen", options=[{"driver": "raw", "node-name": "disk0", "file": beneath}])
        if not operations:
            self.must("blockdev-del", **{"node-name": "disk-faults"})

    def must(self, execute: str, **arguments):
        answer = self.qmp(execute, **arguments)
        if "return" not in answer:
            raise AssertionError(f"{execute}: {answer}")

    def listens(self, patience_s: float = 10) -> bool:
        """Whether TLS is spoken at the port: QEMU itself accepts the connection, so only an answer counts."""
        if not self.running:
            raise AssertionError(f"the machine ended: {self.complaint}")
        try:
            done = subprocess.run(
                ["openssl", "s_client", "-connect", f"{LOOPBACK}:{self.port}", "-tls1_3"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience_s,
            )
        except subprocess.TimeoutExpired:
            # QEMU took the connection for a guest that says nothing.
            return False
        return b"BEGIN CERTIFICATE" in done.stdout

    def wait_until_it_listens(self, deadline_s: float = 180) -> "Machine":
        # A connection from before the guest had a network waits for seconds after it has one: so it is given up soon, unless the machine is slow.
        patience_s = itertools.chain((0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 2, 2, 4), itertools.repeat(10))
        wait_for("the device to speak TLS", lambda: self.listens(next(patience_s)), deadline_s)
        return self
