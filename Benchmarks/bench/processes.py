"""Servers as processes: pinned to a core, ended by their id, their processor time and memory read from /proc."""

import os
import signal
import subprocess
import time

# The servers share one core and the client has another: nobody is slowed down by the client's own work.
SERVER_CPU, CLIENT_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))


def pinned(cpu, command):
    return ["taskset", "--cpu-list", str(cpu), *map(str, command)]


class Server:
    """One contender: a process, its children, and the address that it serves."""

    def __init__(self, command, log, **options):
        self._log = open(log, "wb")
        self.log_path = log
        self.process = subprocess.Popen(pinned(SERVER_CPU, command), stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
        # Names that the client needs beside those of every server.
        self.address = None
        self.body_address = None
        self.credentials = None

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, what, condition, seconds=60):
        """The first true value of `condition()`; a server that ended or is never ready ends the run."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {self.process.args[3]} ended:\n{self.log()}")
            if value := condition():
                return value
            time.sleep(0.05)
        raise SystemExit(f"bench: {self.process.args[3]}: {what} never came:\n{self.log()}")

    def stop(self, seconds=60):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()

    def identifiers(self):
        """The process and all beneath it."""
        found, waiting = [], [self.process.pid]
        while waiting:
            identifier = waiting.pop()
            found.append(identifier)
            for thread in _entries(f"/proc/{identifier}/task"):
                waiting += map(int, _text(f"/proc/{identifier}/task/{thread}/children").split())
        return found

    def processor_ns(self):
        """Time on a processor so far, of all threads, as the scheduler counts it."""
        total = 0
        for identifier in self.identifiers():
            for thread in _entries(f"/proc/{identifier}/task"):
                total += int((_text(f"/proc/{identifier}/task/{thread}/schedstat").split() or ["0"])[0])
        return total

    def memory_bytes(self):
        """Proportional set size: what is shared with others counts in part."""
        total = 0
        for identifier in self.identifiers():
            for line in _text(f"/proc/{identifier}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total


def _entries(folder):
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _text(path):
    # A thread may end between the look at the list and the look at it.
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
