"""What the commands say: named steps with their elapsed time, notes, and errors of one sentence."""

import sys
import time


class ToolchainError(Exception):
    """A failure that the person at the keyboard can act on; its text is one clear sentence."""


class Steps:
    """Names each step as it starts and says how long it took. Everything goes to standard error, so that
    standard output holds only what a command was asked to print."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._began = time.monotonic()

    def run(self, name, action):
        began = time.monotonic()
        self._say(f"[{began - self._began:6.1f} s] {name} …")
        result = action()
        self._say(f"[{time.monotonic() - self._began:6.1f} s] {name}: done in {time.monotonic() - began:.1f} s")
        return result

    def note(self, text):
        self._say(f"note: {text}")

    def _say(self, text):
        print(text, file=self._stream, flush=True)


def run_command(main):
    """Runs a command's main function and turns a failure into one sentence and exit status 1."""
    try:
        sys.exit(main())
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: stopped by the keyboard; nothing half done was left behind.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: the operating system refused: {error.strerror}{where}.", file=sys.stderr)
        sys.exit(1)
