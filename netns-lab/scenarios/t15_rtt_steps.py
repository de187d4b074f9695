"""T15. A's round trip steps from 10 to 800 ms and back: nothing is declared dead, the times adapt, commands go on."""
from lablib.traffic import CommandStream

TOPOLOGY = "two"
NEEDS = "netem"
HOLD_S = 12


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    after = lab.events_arrived()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.2) as stream:
        for rtt_ms in (10, 800, 10, 800, 10):
            lab.step(f"A's round trip is {rtt_ms} ms")
            for link in ("lan", "wan"):
                lab.router("a").run(["tc", "qdisc", "replace", "dev", link, "root", "netem", "delay", f"{rtt_ms // 2}ms"])
            lab.lasts(HOLD_S)
        lab.figure("gap", stream.gap_s() * 1000)
    lab.check_exactly_once(stream)
    down = [e for e in lab.host.events() if e["n"] > after and e["kind"] == "path.down"]
    lab.check("nothing was declared dead", not down, down)
    lab.check("one switch at most", len(lab.switches(after)) <= 1, lab.switches(after))
