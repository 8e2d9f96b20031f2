"""A device on this host: `haechid` on the virtual board. The same suites run against it and against a booted image."""

import subprocess
import tempfile
import time
from pathlib import Path

from machine import LOOPBACK, ROOT, free_port, wait_for


class VirtualDevice:
    """One `haechid` with a folder of its own. Use as a context manager. What a booted `Machine` has and a test of the API needs, it has too."""

    variant = "host"

    def __init__(self, maker_certificate: Path):
        self.folder = tempfile.TemporaryDirectory(prefix="haechi-virtual-")
        self.path = Path(self.folder.name)
        self.port = free_port()
        self.command = [ROOT / ".build/debug/haechid", "--listen", f"{LOOPBACK}:{self.port}"]
        self.command += ["--maker-ca", maker_certificate, "--state", self.path / "device"]

    def __enter__(self) -> "VirtualDevice":
        self.errors = open(self.path / "log", "wb")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
        self.errors.close()
        self.folder.cleanup()

    @property
    def complaint(self) -> str:
        return (self.path / "log").read_text(errors="replace")

    def wait_until_it_listens(self, deadline_s: float = 300) -> "VirtualDevice":
        def serves() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"haechid ended: {self.complaint}")
            return " serves after " in self.complaint

        wait_for("the device to serve", serves, deadline_s)
        return self

    def press_button(self):
        """Presses the board's button for a moment: longer than it takes the supervisor to see a change."""
        line = self.path / "device/gpio/button"
        line.write_text("1\n")
        time.sleep(0.3)
        line.write_text("0\n")
