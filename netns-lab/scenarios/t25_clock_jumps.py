"""T25. The wall clock jumps an hour ahead, two back and ahead again: no path is lost, no lease runs out, commands are done once and at once."""
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"
NEEDS = "clock"
JUMPS_S = (3600, -7200, 3600)
HOLD_S = 8      # three heartbeats of a standby and more, also on a slow machine


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    after = lab.events_arrived()
    leases = {port: lab.host.address(port) for port in ("eth0", "eth1")}
    jumped = 0
    try:
        with CommandStream(lab.console, lab.publishing(), interval_s=0.2) as stream:
            for jump in JUMPS_S:
                lab.step(f"the clock jumps by {jump} s")
                time.clock_settime(time.CLOCK_REALTIME, time.time() + jump)
                jumped += jump
                lab.lasts(HOLD_S)
                lab.check("the tunnel stays where it is", lab.host.active_port() == "eth0", lab.host.paths())
            lab.figure("gap", stream.gap_s() * 1000)
            lab.check("commands did not wait for a clock", stream.gap_s() <= lab.limit(1), stream.gap_s())
    finally:
        if jumped:
            time.clock_settime(time.CLOCK_REALTIME, time.time() - jumped)
    lab.check_exactly_once(stream)
    news = [e for e in lab.host.events() if e["n"] > after and e["kind"] in ("path.down", "path.switch", "lease.lost")]
    lab.check("no path went down, nothing switched, no lease ended", not news, news)
    lab.check("the addresses stay", leases == {port: lab.host.address(port) for port in leases}, leases)
