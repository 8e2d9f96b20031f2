"""PID 1 survives anything; actuators go safe; the watchdog guards PID 1 (T17, T19), seen through the debug image's rescue shell."""

import os
import re
import signal
import time

from machine import Machine, wait_for
from owner import Owner
from simulator import hold_button, let_button_go, relay_is_on

# The first phase of each boot, as the console shows it.
BOOT = "boot mount-proc"
# Who lets the button go after 10 to 15 s wants the device wiped; held on, it means nothing any more (ButtonHold).
HELD_ON_S = 20
# More than the silence that a runtime is killed for, and less than the watchdog's ten seconds.
STANDSTILL_S = 8
# A runtime has settled 5 s after it serves; one that ends later does not count towards the ceiling (SupervisorLimits).
SETTLED_S = 8


def runtime_pid(machine) -> int | None:
    said = machine.shell("for p in /proc/[0-9]*; do grep -q '^haechid-runtime' $p/cmdline && echo ${p#/proc/}; done")
    return next((int(line) for line in said.splitlines() if line.isdecimal()), None)


def wait_for_another_runtime(machine, than: int | None) -> int:
    return wait_for("another runtime", lambda: (pid := runtime_pid(machine)) and pid != than and pid, 300)


def test_the_console_names_the_phases_of_boot(owned_debug):
    machine, owner = owned_debug
    names = [phase["name"] for phase in owner.json("status")["bootPhases"]]
    assert len(names) >= 5
    for name in names:
        assert name in machine.serial().decode()


def test_the_relay_changes_on_the_gpio_simulator_and_is_safe_after_a_kill(owned_debug):
    machine, owner = owned_debug
    assert not relay_is_on(machine)
    owner.run("set", "relay", "on")
    assert relay_is_on(machine)
    pid = wait_for_another_runtime(machine, None)
    machine.shell(f"kill -9 {pid}")
    wait_for("the relay to be safe", lambda: not relay_is_on(machine))
    wait_for_another_runtime(machine, pid)
    machine.wait_until_it_listens()
    assert owner.json("status")["state"] == "owned"


def test_the_button_is_an_event(owned_debug):
    machine, owner = owned_debug
    hold_button(machine)
    time.sleep(HELD_ON_S)
    wait_for("the button to be active", lambda: any(i["name"] == "button" and i["active"] for i in owner.json("inputs")["inputs"]))
    let_button_go(machine)
    wait_for("the button to be released", lambda: not any(i["name"] == "button" and i["active"] for i in owner.json("inputs")["inputs"]))
    assert owner.json("status")["state"] == "owned"


def test_two_runtimes_have_different_memory_layouts(owned_debug):
    machine, _ = owned_debug
    layouts = []
    for _ in range(2):
        pid = wait_for_another_runtime(machine, None)
        layouts.append(machine.shell(f"grep -E 'stack|exe|init|libc|heap' /proc/{pid}/maps | cut -d- -f1"))
        machine.shell(f"kill -9 {pid}")
        wait_for_another_runtime(machine, pid)
        machine.wait_until_it_listens()
        time.sleep(SETTLED_S)
    assert len(layouts[0]) > 10 and layouts[0] != layouts[1]


def test_the_runtime_is_confined(owned_debug):
    machine, _ = owned_debug
    status = machine.shell(f"cat /proc/{wait_for_another_runtime(machine, None)}/status")
    fields = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.M))
    assert fields["Seccomp"] == "2"
    assert fields["NoNewPrivs"] == "1"
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert "0" not in fields["Uid"].split() and "0" not in fields["Gid"].split()


def test_a_frozen_runtime_is_replaced(owned_debug):
    machine, owner = owned_debug
    owner.run("set", "relay", "on")
    pid = wait_for_another_runtime(machine, None)
    machine.shell(f"kill -STOP {pid}")
    wait_for("the relay to be safe", lambda: not relay_is_on(machine))
    wait_for_another_runtime(machine, pid)
    machine.wait_until_it_listens()
    assert owner.json("status")["startCause"] == "hung"


def test_a_machine_that_stood_still_blames_nobody_for_it(owned_release):
    machine, owner = owned_release
    # Its host gives it no processor, and its clock goes on.
    os.killpg(machine.process.pid, signal.SIGSTOP)
    time.sleep(STANDSTILL_S)
    os.killpg(machine.process.pid, signal.SIGCONT)
    machine.wait_until_it_listens()
    assert any("this machine stood still for" in line for line in owner.log())
    status = owner.json("status")
    assert (status["state"], status["startCount"]) == ("owned", 1)


def test_killed_slower_than_the_ceiling_it_always_returns_and_faster_the_machine_restarts(torture):
    with Machine("debug", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        pid = None
        for _ in range(100 if torture else 4):
            pid = wait_for_another_runtime(machine, pid)
            machine.wait_until_it_listens()
            time.sleep(SETTLED_S)
            machine.shell(f"kill -9 {pid}")
        assert machine.serial_text.count(BOOT) == 1 and machine.shell("echo alive") == "alive"
        boots = machine.serial_text.count(BOOT)
        # In the machine itself, and ended by the restart: the shell goes down with it. It starts no process to look at each: on a slow machine a
        # runtime would settle meanwhile.
        kill = "c=; { read -r c < $p/cmdline; } 2>/dev/null; case $c in haechid-runtime*) kill -9 ${p#/proc/};; esac"
        machine.type(f"while :; do for p in /proc/[0-9]*; do {kill}; done; sleep 1; done\n")
        wait_for("the machine to restart", lambda: machine.serial_text.count(BOOT) > boots, 600)
        machine.wait_until_it_listens()


def test_the_watchdog_restarts_a_machine_whose_pid_1_is_frozen():
    with Machine("debug", serial_on_stdio=True) as machine:
        machine.wait_until_it_listens()
        boots = machine.serial_text.count(BOOT)
        machine.shell("mkdir -p /run/cg && mount -t cgroup2 none /run/cg && mkdir -p /run/cg/ice && echo 1 > /run/cg/ice/cgroup.procs")
        machine.type("echo 1 > /run/cg/ice/cgroup.freeze\n")
        wait_for("the watchdog", lambda: machine.serial_text.count(BOOT) > boots, 300)
        machine.wait_until_it_listens()
        assert Owner(machine).provision().returncode == 0
