"""One emulated board in a network of its own: what each system of the boot comparison is started in."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROUTER, ADDRESS, PORT = "192.0.2.1", "192.0.2.50", 8443
HARDWARE_ADDRESS = "52:54:00:48:61:01"
# Where instructions are counted, virtual time is the number of executed instructions in units of 2^1 ns: a core that does 500 million a second.
INSTRUCTION_SHIFT = 1


class LabError(Exception):
    """One sentence that says what could not be measured."""


@dataclass
class Boot:
    """What one boot showed. Times in seconds; `virtual_s` is by the machine's own clock."""

    answered_s: float
    connected_s: float
    emulator_cpu_s: float
    touched_bytes: int
    answer: str
    virtual_s: float


def run(*command):
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise LabError(f"{' '.join(command)}: {error.stderr.strip()}") from error


class Network:
    """192.0.2.0/24 (TEST-NET-1, RFC 5737) in a network namespace: a tap, a DHCP server that answers at once, and the machine's hardware
    address known, so that neither ARP nor a server's caution is part of what is measured."""

    def __init__(self):
        self.namespace = f"haechi-bench-{os.getpid()}"
        self.server = None

    def __enter__(self):
        run("ip", "netns", "add", self.namespace)
        inside = ("ip", "-n", self.namespace)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "tuntap", "add", "tap0", "mode", "tap")
        run(*inside, "address", "add", f"{ROUTER}/24", "dev", "tap0")
        run(*inside, "link", "set", "tap0", "up")
        run(*inside, "neigh", "replace", ADDRESS, "lladdr", HARDWARE_ADDRESS, "dev", "tap0", "nud", "permanent")
        self.server = subprocess.Popen(
            self.command(
                "dnsmasq", "--no-daemon", "--port=0", "--no-hosts", "--no-resolv", "--conf-file=/dev/null", "--interface=tap0",
                "--bind-dynamic", "--no-ping", f"--dhcp-range={ADDRESS},{ADDRESS},1h", "--dhcp-authoritative",
                "--dhcp-leasefile=/dev/null", "--user=root",
            ),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        if self.server and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(20)
        run("ip", "netns", "delete", self.namespace)

    def command(self, *command):
        return ["ip", "netns", "exec", self.namespace, *command]


class Monitor:
    """QEMU's machine protocol (QMP)."""

    def __init__(self, path, deadline_s=120):
        end = time.monotonic() + deadline_s
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(str(path))
                break
            except OSError as error:
                self.socket.close()
                if time.monotonic() > end:
                    raise LabError("QEMU did not open its monitor") from error
                time.sleep(0.05)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.say("qmp_capabilities")

    def say(self, command):
        self.socket.sendall(json.dumps({"execute": command}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "return" in answer or "error" in answer:
                return answer

    def close(self):
        self.lines.close()
        self.socket.close()


def emulator_of(runner):
    """The process id of QEMU below Images/qemu."""
    waiting = [runner]
    while waiting:
        process = waiting.pop()
        if Path(f"/proc/{process}/comm").read_text().startswith("qemu-system"):
            return process
        waiting += [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    raise LabError("no QEMU runs")


def cpu_s(process):
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def touched_bytes(process, memory_mib):
    """How much of the machine's memory was ever written: the resident part of QEMU's mapping of that size."""
    size, found = f"{memory_mib * 1024} kB", 0
    inside = False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        if line.startswith("Size:"):
            inside = line.split(":")[1].strip() == size
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def packets(path, base_s):
    """[(virtual seconds, frame)] of a pcap file as QEMU's filter-dump writes it."""
    data, offset, result = path.read_bytes(), 24, []
    while offset + 16 <= len(data):
        second, microsecond, kept, _ = struct.unpack_from("<IIII", data, offset)
        result.append((second - base_s + microsecond / 1e6, data[offset + 16 : offset + 16 + kept]))
        offset += 16 + kept
    return result


def header_bytes(frame):
    """Of virtio's header before an Ethernet frame from or to the machine: QEMU keeps it, and its size depends on the driver's state."""
    hardware_address = bytes.fromhex(HARDWARE_ADDRESS.replace(":", ""))
    return next((n for n in (0, 10, 12) if hardware_address in (frame[n : n + 6], frame[n + 6 : n + 12])), 0)


def answer_time_s(frames, source_port):
    """When the machine sent its answer: its last payload on the connection before the client closed."""
    found = None
    for at_s, raw in frames:
        frame = raw[header_bytes(raw) :]
        if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        tcp = 14 + (frame[14] & 15) * 4
        source, destination = struct.unpack_from(">HH", frame, tcp)
        payload = struct.unpack_from(">H", frame, 16)[0] - (tcp - 14) - (frame[tcp + 12] >> 4) * 4
        if destination == source_port and source == PORT and payload > 0:
            found = at_s
        elif source == source_port and frame[tcp + 13] & 0x05:
            break
    return found


def _answer(probe, runner, firmware, deadline_s):
    """What the probe printed, once it has; an error where the machine or the time ended before."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            line, _ = probe.communicate(timeout=1)
        except subprocess.TimeoutExpired as error:
            if runner.poll() is not None or time.monotonic() > end:
                raise LabError(f"{firmware} did not answer within {deadline_s} s, or its kernel panicked") from error
            continue
        if probe.returncode != 0:
            raise LabError(f"{firmware} did not answer")
        return line


def boot(network, image, firmware, *, memory_mib, credentials, extra=(), instructions=False, deadline_s=600, serial=None, variant="release"):
    """Starts a machine from power-off, waits for its first answer, and pulls the plug.

    - image: the folder of a Haechi image, whose disk every machine gets.
    - credentials: (certificate, key) of the client, or none for a server without TLS.
    - instructions: let the machine's clock count instructions, so that what else this computer does is not in the figure.
    """
    base_s = int(time.time())
    with tempfile.TemporaryDirectory(prefix="haechi-boot-") as folder:
        folder = Path(folder)
        command = [str(ROOT / "Images/qemu"), "--variant", variant, "--image", str(image), "--firmware", str(firmware), "--snapshot"]
        command += ["--mem", str(memory_mib), "--net", "tap:tap0", "--monitor", str(folder / "monitor"), "--stopped"]
        command += ["--mac", HARDWARE_ADDRESS, "--serial", str(serial or folder / "serial"), "--"]
        if instructions:
            command += ["-icount", f"shift={INSTRUCTION_SHIFT}"]
        # The dump's times are the machine's own clock from power-on, added to this date, which is the machine's too.
        command += ["-rtc", f"base={time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(base_s))},clock=vm"]
        # A kernel that panics restarts the machine, which then ends instead: nothing more is to be waited for.
        command += ["-no-reboot", "-object", f"filter-dump,id=dump0,netdev=net0,file={folder / 'dump'},maxlen=200", *extra]
        with open(folder / "errors", "wb") as errors:
            runner = subprocess.Popen(
                network.command(*command), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env={**os.environ, "TZ": "UTC"}
            )
            probe = None
            try:
                monitor = Monitor(folder / "monitor")
                emulator = emulator_of(runner.pid)
                script = [sys.executable, str(HERE / "boot_probe.py"), ADDRESS, str(PORT), *(str(part) for part in credentials)]
                probe = subprocess.Popen(network.command(*script), stdout=subprocess.PIPE, text=True)
                probe.stdout.readline()
                before_s, began_s = cpu_s(emulator), time.monotonic()
                monitor.say("cont")
                line = _answer(probe, runner, firmware, deadline_s)
                used_s = cpu_s(emulator) - before_s
                touched = touched_bytes(emulator, memory_mib)
                monitor.close()
            except (LabError, OSError) as error:
                raise LabError(f"{error}: {(folder / 'errors').read_text(errors='replace').strip()}") from error
            finally:
                if probe and probe.poll() is None:
                    probe.kill()
                    probe.wait()
                runner.send_signal(signal.SIGTERM)
                runner.wait(30)
        answer = json.loads(line)
        frames = packets(folder / "dump", base_s)
        if (virtual_s := answer_time_s(frames, answer["source_port"])) is None:
            raise LabError(f"{firmware} answered, and the capture does not show when")
        return Boot(
            answered_s=answer["answered_s"] - began_s, connected_s=answer["connected_s"] - began_s, emulator_cpu_s=used_s, touched_bytes=touched,
            answer=answer["answer"], virtual_s=virtual_s,
        )  # fmt: skip
