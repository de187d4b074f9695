"""U1. A and B up, tunnel on A; pull A: the same session goes on over B in less than 1 s, no command lost or run twice."""
from lablib.traffic import CommandStream

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    session = lab.host.session()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.02) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 20)
        lab.step("pull A")
        lab.pull("eth0")
        took = lab.expect(1.0, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
        lab.figure("switch", took * 1000)
        count = len(stream.replied())
        lab.expect(1.0, "commands are answered over B", lambda: len(stream.replied()) > count + 3)
    lab.check("it is the same session", lab.host.session() == session, [session, lab.host.session()])
    lab.check("the Console saw no interruption of the host", lab.console.online())
    lab.check_exactly_once(stream)
    lab.step("plug A in again: it becomes standby, the tunnel stays where it is")
    lab.plug("eth0")
    lab.expect(10, "A is standby", lambda: lab.host.path_states().get("eth0") == "standby")
    lab.check("the tunnel is still on B", lab.host.active_port() == "eth1")
