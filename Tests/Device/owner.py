"""The operator's side: the `haechi` command line with a home of its own."""

import contextlib
import copy
import json
import os
import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from machine import LOOPBACK, ROOT, Machine, free_port
from network import GuestNetwork


# How `haechi` says that a connection came to nothing because somebody stood still, here or there, until a deadline of some ten seconds was over.
STOOD_STILL = (
    "closed the connection",
    "broke the connection",
    "did not answer",
    "does not answer",
    "did not finish",
    "said nothing for",
    "ended before",
)
STOOD_STILL_S = 8


class Owner:
    """Runs `haechi` as an owner who has a station of the maker that the image was made for."""

    binary = ROOT / ".build/debug/haechi"

    def __init__(self, machine: Machine, network: GuestNetwork | None = None):
        """With a network it lives inside that one, where the device has an address of its own."""
        self.machine = machine
        self.network = network
        self.folder = tempfile.TemporaryDirectory(prefix="haechi-owner-")
        self.home = Path(self.folder.name)
        self.port = machine.port
        self.address = f"{network.wait_for_device()}:8443" if network else f"{LOOPBACK}:{self.port}"
        # As an operator's script would have it: a file that nobody else reads.
        self.passphrase = secrets.token_urlsafe(24).encode()
        self.passphrase_file = self.home / "passphrase"
        self.passphrase_file.touch(mode=0o600)
        self.passphrase_file.write_bytes(self.passphrase + b"\n")
        self.maker = self.maker_folder()

    @staticmethod
    def maker_folder() -> Path:
        """The throwaway maker that images and virtual devices pin."""
        return Path(subprocess.check_output([ROOT / "Images/make-maker-ca"], text=True).strip().splitlines()[-1])

    @classmethod
    def maker_certificate(cls) -> Path:
        return cls.maker_folder() / "maker-ca.der"

    def inside(self, *command: str) -> list[str]:
        """The command, where this owner lives."""
        return self.network.command(*command) if self.network else list(command)

    def run(
        self, *arguments: str, check: bool = True, timeout_s: float = 300, asked: Callable[[], object] | None = None
    ) -> subprocess.CompletedProcess:
        """Runs `haechi`. What must succeed (`check`) is given again where somebody stood still until a connection's deadline was over.

        `asked` is called each time it asks for the button.
        """
        for is_last in (False, False, True):
            began_s = time.monotonic()
            done = self._run(arguments, timeout_s, asked)
            if not check or done.returncode == 0:
                return done
            stood_still = time.monotonic() - began_s >= STOOD_STILL_S and any(words in done.stderr for words in STOOD_STILL)
            if is_last or not stood_still:
                raise AssertionError(f"haechi {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def _run(self, arguments: tuple[str, ...], timeout_s: float, asked: Callable[[], object] | None) -> subprocess.CompletedProcess:
        said = []

        def listen():
            for line in process.stderr:
                said.append(line)
                if asked and "press the button" in line:
                    asked()

        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                self.inside(str(self.binary), *arguments),
                env={**os.environ, "HAECHI_HOME": str(self.home), "HAECHI_PASSPHRASE_FILE": str(self.passphrase_file)},
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            )
            with process:
                listening = threading.Thread(target=listen, daemon=True)
                listening.start()
                try:
                    process.wait(timeout_s)
                except BaseException:
                    process.kill()
                    raise
                finally:
                    listening.join()
            output.seek(0)
            return subprocess.CompletedProcess(process.args, process.returncode, output.read(), "".join(said))

    def json(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json").stdout)

    def provision(self):
        return self.run("provision", "--station", str(self.maker), "--device", self.address, "--serial-number", "TEST-1")

    @property
    def label_file(self) -> Path:
        """What `provision` wrote: the label of the device."""
        return self.home / "labels/TEST-1.txt"

    def claim(self, *arguments: str, check: bool = True):
        """Presses the button, and claims; presses it again where it is asked for: a press counts for a minute, and a slow machine may need more."""
        self.machine.press_button()
        return self.claim_untouched(*arguments, check=check, asked=self.machine.press_button)

    def claim_untouched(self, *arguments: str, check: bool = True, asked: Callable[[], object] | None = None):
        """Claims, with nobody at the device; or with somebody who does what is `asked`."""
        maker = str(self.maker / "maker-ca.pem")
        command = ("claim", "--name", "operator", "--maker-ca", maker, "--device", self.address, "--label-file", str(self.label_file))
        return self.run(*command, *arguments, check=check, asked=asked)

    def provision_and_claim(self) -> "Owner":
        self.provision()
        self.claim()
        return self

    def station_info(self) -> dict:
        """What a station of the maker hears of a device that serves nobody else."""
        credentials = ["--cert", str(self.maker / "station.pem"), "--key", str(self.maker / "station.key")]
        ask = ["curl", "--silent", "--show-error", "--insecure", *credentials, f"https://{self.address}/v1/info"]
        # Whoever stands still in a handshake is left alone with it.
        ask += ["--retry", "5", "--retry-all-errors"]
        return json.loads(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)

    def boot_again(self, device: Path, **options) -> Machine:
        """The same device at the port where this owner knows it; with its TPM unless told otherwise."""
        return Machine("release", device=device, port=self.port, **{"tpm": True, **options})

    @property
    def authority(self) -> Path:
        """The owner CA's certificate; its key lies beside it, under `passphrase`."""
        return self.home / "owner/ca.pem"

    @property
    def credentials(self) -> tuple[Path, Path]:
        """Certificate and key of the admin."""
        return self.home / "owner/members/operator.pem", self.home / "owner/members/operator.key"

    def files(self) -> dict[str, tuple[int, bytes]]:
        """The operator's folder as it is: of each file its mode and its content."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            # One that was renamed or removed meanwhile is none.
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    found[str(path.relative_to(self.home))] = (path.stat().st_mode & 0o777, path.read_bytes())
        return found

    def copy(self, files: dict[str, tuple[int, bytes]] | None = None) -> "Owner":
        """The same owner at another desk, with a copy of the device at a port of its own: what happens there is not known here.

        The desk is as this one is, or as it was when it had these files.
        """
        other = copy.copy(self)
        other.folder = tempfile.TemporaryDirectory(prefix="haechi-owner-")
        other.home = Path(other.folder.name)
        other.passphrase_file = other.home / self.passphrase_file.name
        other.port = free_port()
        other.address = f"{LOOPBACK}:{other.port}"
        for name, (mode, content) in (files or self.files()).items():
            path = other.home / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode)
            path.write_bytes(content.replace(self.address.encode(), other.address.encode()) if name == "devices.json" else content)
        return other

    def ask(self, *paths: str) -> list[dict]:
        """What the device answers its admin, over one connection."""
        certificate, key = self.credentials
        command = ["curl", "--silent", "--show-error", "--fail", "--insecure", "--cert", str(certificate), "--key", str(key), "--write-out", "\\n"]
        said = subprocess.run([*command, *(f"https://{self.address}{path}" for path in paths)], capture_output=True, text=True, timeout=180)
        if said.returncode != 0:
            raise AssertionError(f"{', '.join(paths)}: {said.stderr}")
        return [json.loads(line) for line in said.stdout.splitlines() if line]

    def bind(self, broker: str, authority: Path):
        """Tells the device about its broker, `HOST:PORT` as the device reaches it."""
        return self.run("cloud", "bind", "--broker", broker, "--authority", str(authority))

    def guard(self) -> dict:
        return self.json("guard", "status")

    def cloud(self) -> dict:
        return self.json("cloud", "status")

    def events(self, kind: str) -> list[dict]:
        """What the device tells of its past: the events of one kind, oldest first."""
        return [event[kind] for event in self.json("events")["events"] if event["kind"] == kind]

    def log(self) -> list[str]:
        return [record["text"] for record in self.json("logs")["records"]]
