"""The load generator: one program for every server (peers/load)."""

import json
import subprocess

from . import build, processes


def command(server, kind, *options, address=None, credentials=None):
    return processes.pinned(
        processes.CLIENT_CPU, [build.load(), kind, "-address", address or server.address, *(credentials or server.credentials), *options]
    )


def run(server, kind, **options):
    """Runs it to its end. Options: those of peers/load, and `address`, `credentials`. Returns what it printed, and the server's own
    processor time for each operation as `processor_us`."""
    words = [word for name, value in options.items() if name not in ("address", "credentials") for word in (f"-{name}", str(value))]
    before_ns = server.processor_ns()
    ran = subprocess.run(
        command(server, kind, *words, address=options.get("address"), credentials=options.get("credentials")), capture_output=True, text=True
    )
    if ran.returncode != 0:
        raise SystemExit(f"bench: load {kind} {' '.join(words)} failed: {ran.stderr}\nthe server said:\n{server.log()[-2000:]}")
    result = json.loads(ran.stdout)
    result["processor_us"] = (server.processor_ns() - before_ns) / 1000 / result["operations"]
    result["rate"] = result["operations"] / result["seconds"]
    return result
