"""Memory over time: the device under mixed load, at the start and at the end, beside Go under the same."""

import concurrent.futures
import time

from . import contenders, load
from .contenders import DEVICE, GO
from .measurement import Measurement

# Seconds of load; the first part is left out, because every server fills its caches and pools then.
_MODES = {"quick": (60, 15), "full": (3600, 120)}
_CONNECTIONS = 8
_NOTE = (
    f"Proportional set size of all its processes (the device: supervisor and runtime) under mixed load of {_CONNECTIONS} clients: half of them keep "
    "their connection, the others make a new one for each request. Both are under load at the same time: memory is compared here, not speed."
)


def run(mode):
    seconds, warm_up = _MODES[mode]
    with contenders.running(DEVICE, GO) as servers:
        memory = {who: {"at rest": server.memory_bytes()} for who, server in servers.items()}
        for server in servers.values():
            load.run(server, "mixed", connections=_CONNECTIONS, seconds=warm_up)
        for who, server in servers.items():
            memory[who]["after warm-up"] = server.memory_bytes()
        with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
            highest = {who: pool.submit(_under_load, server, seconds) for who, server in servers.items()}
            for who, most in highest.items():
                memory[who]["highest"] = most.result()
        for who, server in servers.items():
            memory[who]["at the end"] = server.memory_bytes()
    result = [
        Measurement(f"memory, {when}", "MB", "lower", {who: [taken[when] / 1e6] for who, taken in memory.items()}, _NOTE)
        for when in ("at rest", "after warm-up", "highest", "at the end")
    ]
    growth = {who: [max(0, taken["at the end"] - taken["after warm-up"]) / 1e3] for who, taken in memory.items()}
    result.append(Measurement(f"growth from warm-up to end, {seconds} s of load each", "KB", "lower", growth, _NOTE))
    return result


def _under_load(server, seconds):
    """The most that it held while it was under load."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        made = pool.submit(load.run, server, "mixed", connections=_CONNECTIONS, seconds=seconds)
        highest = 0
        while not made.done():
            highest = max(highest, server.memory_bytes())
            time.sleep(0.5)
        made.result()
    return highest
