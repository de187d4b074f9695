"""U39. A leads to the Console through an explicit proxy only, B directly: both are paths; the tunnel goes from one to the
other and back, every command is done once."""
from lablib.proxy import Proxy
from lablib.traffic import CommandStream

TOPOLOGY = "two"
TIMEOUT_S = 240


def run(lab):
    proxy = Proxy(lab, "a", user="agent", password="s3cret-word").start()
    lab.only_through("a", proxy.address)
    lab.host.settings["tunnel"]["proxies"] = [{"adapter": "eth0", "url": proxy.url("agent", "s3cret-word")}]
    lab.start()
    lab.wait_paths(30)
    lab.check("A's path names its proxy, B's has none", lab.host.path("eth0").get("proxy") == f"{proxy.address}:{proxy.PORT}"
              and "proxy" not in lab.host.path("eth1"), lab.host.paths())
    lab.check("the proxy was asked for the Console by its name", f"CONNECT console.example:{lab.topology.console_port}"
              in proxy.log(), proxy.log()[-500:])
    lab.nat_interface()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        for away, there in (("eth1", "eth0"), ("eth0", "eth1"), ("eth1", "eth0")):
            lab.step(f"{away} is pulled: the tunnel is on {there}")
            lab.pull(away)
            took = lab.expect(20, f"the tunnel is on {there}", lambda: lab.host.active_port() == there)
            lab.figure(f"switch_to_{there}", took * 1000)
            seen = len(stream.replied())
            lab.expect(30, "commands flow", lambda: len(stream.replied()) > seen + 10)
            lab.plug(away)
            lab.expect(60, f"{away} is usable again", lambda: lab.host.path_states()[away] in ("standby", "active"))
    lab.check_exactly_once(stream)
