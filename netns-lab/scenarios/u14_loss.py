"""U14, T14. A fifth of all packets of the active path is lost: the tunnel lives, nothing is declared dead, it moves once at most,
and both ends show how much is lost."""
from lablib import calm
from lablib.traffic import CommandStream

TOPOLOGY = "two"
LOSS_S = 15


def console_row(lab, section, port):
    """What the Console shows of a port, or of its path."""
    return next(row for row in lab.console.host()[section] if row["port"] == port)


def run(lab):
    after = calm.begin(lab)
    lab.step("20 % loss on A, both ways, under a command every 50 ms")
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 20)
        lab.loss("a", 20)
        lab.lasts(LOSS_S)
        lab.figure("gap", stream.gap_s() * 1000)
        lab.loss("a", 0)
    lab.expect(15, "host and Console show the loss on A", lambda: all(
        p.get("loss_percent", 0) > 0 for p in (lab.host.path("eth0"), console_row(lab, "paths", "eth0"))))
    lab.figure("loss_shown", console_row(lab, "paths", "eth0")["loss_percent"], "%")
    lab.check_exactly_once(stream)
    lab.expect(15, "the Console has the ports' counters", lambda: all(
        console_row(lab, "ports", port)["counters"][f"{way}_bytes"] > 1000 for port in ("eth0", "eth1") for way in ("rx", "tx")))
    calm.check(lab, after)
