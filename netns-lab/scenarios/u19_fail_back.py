"""U19, T18. The preferred path returns: the tunnel moves back to it only after 60 s without a fault there, before the other
one is let go, and no command notices."""
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"
TIMEOUT_S = 240
HOLD_S = 60
GAP_S = 1.0             # Beside other scenarios, whose commits keep the disk busy.


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    lab.pull("eth0")
    lab.expect(3, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.plug("eth0")
    lab.expect(15, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
    stable_since, after = time.monotonic(), lab.events_arrived()
    lab.never(HOLD_S - 5, "the tunnel is on A too early", lambda: lab.host.active_port() == "eth0", interval=0.5)
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        lab.expect(90, "the tunnel is on A again", lambda: lab.host.active_port() == "eth0")
        lab.figure("stable_before_return", (time.monotonic() - stable_since) * 1000)
        seen = len(stream.replied())
        lab.expect(10, "commands flow on", lambda: len(stream.replied()) > seen + 20)
        gap = stream.gap_s()
    lab.check_exactly_once(stream)
    lab.figure("gap", gap * 1000)
    lab.check("no command waited", gap < lab.limit(GAP_S), gap)
    lab.check("one switch, and no path was lost", len(lab.switches(after)) == 1 and not [
        e for e in lab.console.events(after) if e["kind"] == "path.down"], lab.console.events(after))
    lab.check("B stands by", lab.host.path_states()["eth1"] == "standby", lab.host.path_states())
