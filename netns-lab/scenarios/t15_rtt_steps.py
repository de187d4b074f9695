"""T15. A's round trip steps from 10 to 800 ms and back: nothing is declared dead, the times adapt, commands go on."""
from lablib import calm
from lablib.traffic import CommandStream

TOPOLOGY = "two"
NEEDS = "netem"
HOLD_S = 12


def run(lab):
    after = calm.begin(lab)
    with CommandStream(lab.console, lab.publishing(), interval_s=0.2) as stream:
        for rtt_ms in (10, 800, 10, 800, 10):
            lab.step(f"A's round trip is {rtt_ms} ms")
            for link in ("lan", "wan"):
                lab.router("a").run(["tc", "qdisc", "replace", "dev", link, "root", "netem", "delay", f"{rtt_ms // 2}ms"])
            lab.lasts(HOLD_S)
        lab.figure("gap", stream.gap_s() * 1000)
    lab.check_exactly_once(stream)
    calm.check(lab, after)
