"""U14, T14. A fifth of all packets of the active path is lost: the tunnel lives, nothing is declared dead, it moves once at most."""
from lablib import calm
from lablib.traffic import CommandStream

TOPOLOGY = "two"
LOSS_S = 15


def run(lab):
    after = calm.begin(lab)
    lab.step("20 % loss on A, both ways, under a command every 50 ms")
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 20)
        lab.loss("a", 20)
        lab.lasts(LOSS_S)
        lab.figure("gap", stream.gap_s() * 1000)
        lab.loss("a", 0)
    lab.check_exactly_once(stream)
    calm.check(lab, after)
