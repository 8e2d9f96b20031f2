"""The operator's side: the `haechi` command line with a home of its own."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from machine import LOOPBACK, ROOT, Machine


class Owner:
    """Runs `haechi` as an owner who has a station of the maker that the image was made for."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.folder = tempfile.TemporaryDirectory(prefix="haechi-owner-")
        self.home = Path(self.folder.name)
        self.address = f"{LOOPBACK}:{machine.port}"
        self.binary = ROOT / ".build/debug/haechi"
        self.maker = Path(subprocess.check_output([ROOT / "Images/make-maker-ca"], text=True).strip().splitlines()[-1])

    def run(self, *arguments: str, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [self.binary, *arguments],
            env={**os.environ, "HAECHI_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"haechi {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def json(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json").stdout)

    def provision(self):
        return self.run("provision", "--station", str(self.maker), "--device", self.address, "--serial-number", "TEST-1")

    def claim(self):
        return self.run("claim", "--name", "operator", "--maker-ca", str(self.maker / "maker-ca.pem"), "--device", self.address)

    def provision_and_claim(self) -> "Owner":
        self.provision()
        self.claim()
        return self

    @property
    def authority(self) -> Path:
        """The owner CA's certificate; its key lies beside it."""
        return self.home / "owner/ca.pem"
