"""T9. The active cable flaps 10 times a second: two switches at most, commands keep flowing on the other NIC. Flaps alone leave
nothing: no descriptor, no thread, no memory (a publication takes some; so it is counted after those).

60 s are 12 s and 6 s here."""
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"
UNDER_COMMANDS_S, ALONE_S = 12, 6
GROWN_KIB = 4096            # seen with sanitizers: 2,000 in 300 flaps
SETTLED_S = 15              # a port that flaps is dialled 1..2 s after it rests


def flap(lab, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for change in (lab.pull, lab.plug):
            change("eth0")
            lab.lasts(0.05)


def run(lab):
    lab.host.keep_little_freed()
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    before = lab.events_arrived()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05, connections=4) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 10)
        moment = time.monotonic()
        flap(lab, UNDER_COMMANDS_S)
        count = len(stream.replied())
        lab.expect(1, "commands still flow", lambda: len(stream.replied()) > count + 5)
    gap = stream.gap_s(moment)
    lab.figure("gap", gap * 1000)
    lab.check("no pause longer than 1 s", gap <= 1.0, gap)
    lab.check_exactly_once(stream)
    usage = lab.host.usage()
    flap(lab, ALONE_S)
    switches = len(lab.switches(after=before))
    lab.figure("switches", switches, "")
    lab.check("two switches at most", switches <= 2, lab.switches(after=before))
    lab.expect(SETTLED_S, "A settles as standby", lambda: lab.host.path_states().get("eth0") == "standby")
    lab.check_no_growth(usage, GROWN_KIB)
    lab.expect(5, "one DHCP client per port", lambda: sorted(map(len, lab.host.dhcp_clients().values())) == [1, 1])
