"""T9. The active cable flaps 10 times a second: two switches at most, no growth, commands keep flowing on the other NIC.

60 s are 12 s here."""
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    before, usage = lab.events_arrived(), lab.host.usage()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05, connections=4) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 10)
        moment, end = time.monotonic(), time.monotonic() + 12
        while time.monotonic() < end:
            for change in (lab.pull, lab.plug):
                change("eth0")
                lab.lasts(0.05)
        count = len(stream.replied())
        lab.expect(1, "commands still flow", lambda: len(stream.replied()) > count + 5)
    gap = stream.gap_s(moment)
    lab.figure("gap", gap * 1000)
    lab.check("no pause longer than 1 s", gap <= 1.0, gap)
    lab.check_exactly_once(stream)
    switches = len(lab.switches(after=before))
    lab.figure("switches", switches, "")
    lab.check("two switches at most", switches <= 2, lab.switches(after=before))
    lab.expect(15, "A settles as standby", lambda: lab.host.path_states().get("eth0") == "standby")
    after = lab.host.usage()
    lab.check("no descriptor leaked", after["fds"] <= usage["fds"] + 4, [usage, after])
    lab.expect(5, "one DHCP client per port", lambda: sorted(map(len, lab.host.dhcp_clients().values())) == [1, 1])
