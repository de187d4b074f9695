"""T1. Two cables are pulled within 100 ms while a third stays: commands hardly pause, though the kernel tells of the second carrier
up to a second later (ports of equal ifindex, as physical ones): the daemon reads it. Release build, idle machine: 53 ms, worst 54,
of 100; a sanitized build beside other work gets twice that, in the median, beyond what the same stream did in the second before
(rule and bound of that: lablib/pauses.py)."""
import time

from lablib.pauses import Pauses
from lablib.traffic import CommandStream

TOPOLOGY = "three"
EXCLUSIVE = True
TIMEOUT_S = 300
ROUNDS = 4
PAUSE_S = 0.2


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    pauses = Pauses(lab, PAUSE_S, wanted=ROUNDS)
    for number in pauses.rest():
        first = lab.host.active_port()
        standby = [port for port in ("eth0", "eth1", "eth2") if port != first]
        second, third = standby if number % 2 == 0 else reversed(standby)
        lab.step(f"{first}, which is active, then {second}; {third} stays")
        with CommandStream(lab.console, lab.publishing(), connections=6, interval_s=0.02) as stream:
            lab.expect(60, "commands flow", lambda: len(stream.replied()) > 70)
            moment = time.monotonic()
            lab.pull(first)
            lab.lasts(0.05)
            lab.pull(second)
            lab.expect(10, f"commands flow over {third}", lambda: (
                sum(t > moment + 1 for t in stream.replied()) > 10 and lab.host.active_port() == third))
        lab.settle(stream)
        lab.check_exactly_once(stream)
        pauses.add(stream, moment)
        lab.console.must([{"op": "gateway.withdraw", "rule": rule} for rule in sorted(lab.rules())], wait=30)
        for port in (first, second):
            lab.plug(port)
        lab.expect(20, "all three are up", lambda: all(s in ("active", "standby") for s in lab.host.path_states().values()))
    pauses.judge()
