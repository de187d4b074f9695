"""U11. Link up, router drops all forwarded traffic: the tunnel is on the other path in 5 s or less, idle and busy."""
from lablib.traffic import CommandStream

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.step("cut A, nothing to do")
    lab.cut("a")
    idle = lab.expect(5, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.figure("idle", idle * 1000)
    lab.expect(10, "A's path is down", lambda: lab.host.path_states()["eth0"] in ("down", "dialing"))
    path = lab.host.path("eth0")
    lab.check("A keeps carrier and lease", lab.host.port("eth0")["state"] == "leased", lab.host.port("eth0"))
    lab.check("the first broken step lies beyond the lease", path["broken_step"] in ("gateway", "tcp", "dns", "console"), path)
    lab.heal("a")
    lab.expect(10, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
    lab.nat_interface()
    lab.step("cut B under a command every 20 ms")
    with CommandStream(lab.console, lab.publishing(), interval_s=0.02) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 20)
        lab.cut("b")
        busy = lab.expect(5, "the tunnel is on A", lambda: lab.host.active_port() == "eth0")
        lab.figure("busy", busy * 1000)
        count = len(stream.replied())
        lab.expect(2, "commands are answered over A", lambda: len(stream.replied()) > count + 3)
    lab.check_exactly_once(stream)
