"""TLS: handshakes, requests, a long body, idle connections, and the limit that OpenSSL's own figures draw."""

import json
import re
import subprocess

from . import contenders, load, processes
from .contenders import DEVICE, GO, NGINX, PARTS
from .measurement import Measurement, alternate

# Seconds of a sample, and how many; connections that stand idle.
_MODES = {"quick": (2, 3, 1000), "full": (5, 9, 2000)}
_NOTE_HANDSHAKE = "Mutual TLS 1.3, P-256 certificates, TLS_AES_256_GCM_SHA384; connect, handshake, one GET /v1/info, close; 4 at a time."
_NOTE_RATE = "Server and client have a core each; where the client is the slower of the two, the server's time on its core is the figure that counts."
_NOTE_NGINX = "nginx answers GET /v1/info with a fixed text; Haechi and Go encode their documents each time."
_NOTE_LIMIT = "openssl speed: what the signatures, key exchanges and, for the body, the cipher alone cost on this core."
_NOTE_IDLE = "Proportional set size of the server's processes, per connection that has asked once and stands idle."
_NOTE_MLKEM = "X25519MLKEM768 needs OpenSSL 3.5 on both sides: this machine's OpenSSL has no such group, so only Go is measured with it."


def run(mode):
    seconds, rounds, idle = _MODES[mode]
    limits = _Limits()
    result = []
    with contenders.running(*contenders.with_before(PARTS, DEVICE, GO, NGINX)) as servers:
        everyone = servers
        # The device's own limit of connections from one address.
        unlimited = {name: server for name, server in servers.items() if name != DEVICE}

        for group, primitive in (("X25519", "x25519"), ("P-256", "p256")):
            for kind, name in (("handshakes", "full handshake"), ("resumed", "resumed handshake")):
                if kind == "resumed" and group != "X25519":
                    continue
                samples = alternate(rounds, everyone, lambda _, s, k=kind, g=group: load.run(s, k, group=g, connections=4, seconds=seconds))
                floor = limits.handshake_us(primitive) if kind == "handshakes" else None
                result += _pair(f"{name}, {group}", samples, _NOTE_HANDSHAKE, floor)

        for connections in (1, 16, 256):
            chosen = everyone if connections <= 16 else unlimited
            samples = alternate(rounds, chosen, lambda _, s, c=connections: load.run(s, "requests", connections=c, seconds=seconds))
            result += _pair(f"GET /v1/info, {connections} connections", samples, _NOTE_NGINX)
            for quantile in ("p50", "p99", "p99.9"):
                result.append(
                    Measurement(
                        f"GET /v1/info, {connections} connections, {quantile}", "µs", "lower",
                        {who: [sample["latency_us"][quantile] for sample in made] for who, made in samples.items()}, _NOTE_NGINX,
                    )
                )  # fmt: skip

        samples = alternate(rounds, unlimited, lambda _, s: load.run(s, "requests", address=s.body_address, path="/body", seconds=seconds))
        rates = {who: [sample["bytes"] / sample["seconds"] / 1e6 for sample in made] for who, made in samples.items()}
        result.append(Measurement("16 MB body", "MB/s", "higher", rates | {"limit": [limits.cipher_MB_s]}, contenders.NOTE_PARTS))
        costs = {who: [sample["processor_us"] / 1000 for sample in made] for who, made in samples.items()}
        floor_ms = contenders.BODY_BYTES / 1e6 / limits.cipher_MB_s * 1000
        result.append(Measurement("16 MB body, server's processor time", "ms", "lower", costs | {"limit": [floor_ms]}, contenders.NOTE_PARTS))

    # Each in a process of its own, fresh: what it holds before says how much of it is new.
    idles = {who: [] for who in contenders.with_before(PARTS, GO, NGINX)}
    for who in idles:
        with contenders.running(who) as servers:
            idles[who].append(_idle_bytes(servers[who], idle))
    result.append(Measurement(f"memory of an idle connection (of {idle:,})", "KB", "lower", idles, _NOTE_IDLE))
    return result


def _pair(name, samples, note, floor_us=None):
    """The rate that was seen, and the server's time on its core for each."""
    rates = {who: [sample["rate"] for sample in made] for who, made in samples.items()}
    costs = {who: [sample["processor_us"] for sample in made] for who, made in samples.items()}
    if floor_us:
        costs["limit"] = [floor_us]
    return [
        Measurement(name, "per second", "higher", rates, f"{note} {_NOTE_RATE}"),
        Measurement(f"{name}, server's processor time", "µs", "lower", costs, f"{note} Limit: {_NOTE_LIMIT}" if floor_us else note),
    ]


def _idle_bytes(server, count):
    # One connection first: what the first of all costs is not what each costs.
    load.run(server, "requests", count=100, seconds=60)
    before = server.memory_bytes()
    command = load.command(server, "idle", "-connections", str(count))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        line = client.stdout.readline()
        if not line or json.loads(line)["operations"] != count:
            raise SystemExit(f"bench: {count} idle connections could not be made:\n{server.log()[-2000:]}")
        after = server.memory_bytes()
        client.stdin.close()
        client.wait()
    return (after - before) / count / 1000


class _Limits:
    """OpenSSL's own figures on the servers' core."""

    def __init__(self):
        speed = ["openssl", "speed", "-seconds", "1", "-mr"]
        text = "".join(
            subprocess.run(
                processes.pinned(processes.SERVER_CPU, [*speed, *words]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
            ).stdout
            for words in (["ecdsap256", "ecdhx25519", "ecdhp256"], ["-bytes", "16384", "-evp", "aes-256-gcm"])
        )
        # `+F4:NUMBER:BITS:SIGN:VERIFY` in seconds of one, `+F5:NUMBER:BITS:OPERATION`, `+F:NUMBER:CIPHER:BYTES PER SECOND`.
        signature = re.search(r"^\+F4:\d+:256:([\d.e-]+):([\d.e-]+)", text, re.M)
        self._sign_s, self._verify_s = (self._seconds(value) for value in signature.groups())
        exchanges = re.findall(r"^\+F5:\d+:(\d+):([\d.e-]+)", text, re.M)
        self._exchange_s = {"p256" if bits == "256" else "x25519": self._seconds(value) for bits, value in exchanges}
        self.cipher_MB_s = float(re.search(r"^\+F:\d+:[^:]+:([\d.]+)", text, re.M).group(1)) / 1e6

    @staticmethod
    def _seconds(value):
        # Which of the two OpenSSL prints, seconds of one or how many in a second, differs between its versions.
        number = float(value)
        return 1 / number if number > 1 else number

    def handshake_us(self, group):
        """One signature of ours, two verifications (the client's certificate and its signature), one key made and one agreed upon."""
        return (self._sign_s + 2 * self._verify_s + 2 * self._exchange_s[group]) * 1e6
