"""The lines of the debug image's GPIO simulator, by way of its rescue shell."""

import re
import time

from machine import BUTTON, wait_for

RELAY = "echo relay=$(cat /sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio0/value)."


def hold_button(machine):
    machine.shell(f"for f in {BUTTON}; do echo pull-up > $f; done")


def let_button_go(machine):
    machine.shell(f"for f in {BUTTON}; do echo pull-down > $f; done")


def press(machine):
    """Presses the button for a second.

    The device's own shell holds it and lets it go: between two of its commands this machine could stand still for so long that the device took it
    for the wish to be wiped. A line that the shell is given once more presses nothing once more.
    """
    pressed = f"/run/pressed-{time.monotonic_ns()}"
    hold, let_go = (f"for f in {BUTTON}; do echo {pull} > $f; done" for pull in ("pull-up", "pull-down"))
    machine.shell(f"[ -e {pressed} ] || {{ touch {pressed}; {hold}; sleep 1; {let_go}; }}", 120)


def relay_is_on(machine) -> bool:
    # The log shares the line: a word of it beside the answer, or in it, is none of the answer.
    return wait_for("the relay's line", lambda: re.search(r"relay=([01])\.", machine.shell(RELAY)))[1] == "1"
