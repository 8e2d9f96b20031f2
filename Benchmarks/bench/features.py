"""What a feature costs: the same server with it and without it, in the same run."""

import pathlib
import tempfile

from . import contenders, load
from .credentials import Credentials
from .measurement import Measurement, alternate

_MODES = {"quick": (2, 3), "full": (5, 9)}
_WITHOUT = {"without the guard": ["--no-guard"], "without the log": ["--no-log"], "without both": ["--no-guard", "--no-log"]}
_NOTE = (
    "Guard: told of each refused handshake. Log: a line for each refusal. What is served costs the same with or without them: neither is asked. "
    "There are no metrics, and the audit log is not asked for a request either."
)


def run(mode):
    seconds, rounds = _MODES[mode]
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as name:
        folder = pathlib.Path(name)
        credentials = Credentials(folder)
        servers = {}
        try:
            for who, options in {"with all": [], **_WITHOUT}.items():
                servers[who] = contenders.parts(folder, credentials, *options)
            stranger = credentials.client_arguments("stranger")
            refused = alternate(rounds, servers, lambda _, server: load.run(server, "refused", credentials=stranger, connections=2, seconds=seconds))
            missing = alternate(rounds, servers, lambda _, server: load.run(server, "requests", path="/nothing", connections=1, seconds=seconds))
            served = alternate(rounds, servers, lambda _, server: load.run(server, "requests", connections=4, seconds=seconds))
        finally:
            for server in servers.values():
                server.stop()
    names = (("refused handshake", refused), ("request for what is not there (404)", missing), ("GET /v1/info", served))
    return [
        Measurement(
            f"{name}, processor time", "µs", "lower", {who: [sample["processor_us"] for sample in made] for who, made in samples.items()}, _NOTE
        )
        for name, samples in names
    ]
