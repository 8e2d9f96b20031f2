"""The lines of the debug image's GPIO simulator, by way of its rescue shell."""

from machine import BUTTON

RELAY = "cat /sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio0/value"


def hold_button(machine):
    machine.shell(f"for f in {BUTTON}; do echo pull-up > $f; done")


def let_button_go(machine):
    machine.shell(f"for f in {BUTTON}; do echo pull-down > $f; done")


def relay_is_on(machine) -> bool:
    return machine.shell(RELAY).strip() == "1"
