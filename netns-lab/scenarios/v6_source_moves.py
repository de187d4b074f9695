"""B has IPv6 alone. Its first router does not answer: it is left for the next that advertises, long before its lifetime ends. A
prefix is deprecated: B's path moves to an address of the other one while A's is up, and not while it is the only one."""
import socket

from lablib import advertise, ipv6
from lablib.product import USABLE

TOPOLOGY = "two"
DEAD = "fe80::dead"          # a router that nobody is


def row(lab):
    """B's path to the Console's IPv6 address."""
    return next(p for p in lab.host.paths() if p["port"] == "eth1" and p["endpoint"].startswith("["))


def source(lab):
    """Network of B's end of its connection to the Console; None: none is open."""
    for line in lab.host.node.run(["ss", "-Htn", "state", "established", "dst", f"[{ipv6.CONSOLE}]"]).splitlines():
        return line.split()[2].strip("[").split("::")[0]
    return None


def run(lab):
    lab.servers["b"].stop_dhcp()
    ipv6.serve_console(lab)
    ipv6.forward(lab, "b", 2, 12)
    port = lab.topology.console_port
    lab.host.settings["console"]["endpoints"] = [f"203.0.113.10:{port}", f"[{ipv6.CONSOLE}]:{port}"]
    lab.start(active="eth0")
    router, bridge = lab.router("b"), lab.host.bridge("eth1")
    alive = socket.inet_ntop(socket.AF_INET6, advertise.link_local(router, "lan"))
    table = lab.host.port("eth1")["table"]

    def gateways():
        return [r["gateway"] for r in lab.host.kernel("-6", "route", "show", "default", "table", str(table))]

    def preferred():
        """Networks of B's addresses that are not deprecated and not tentative."""
        infos = lab.host.kernel("-6", "address", "show", "dev", bridge, "scope", "global")[0].get("addr_info", [])
        return {a["local"].split("::")[0] for a in infos
                if "local" in a and not a.get("deprecated") and not a.get("tentative")}

    def downs(after):
        return [e["data"] for e in lab.host.events() if e["n"] > after and e["kind"] == "path.down"]

    lab.step("a router that does not answer, then one that does")
    advertise.send(router, "lan", DEAD, "fd00:2::")
    lab.expect(10, "B's table leads over the first", lambda: gateways() == [DEAD])
    advertise.send(router, "lan", alive, "fd00:2::")
    took = lab.expect(20, "B's path works", lambda: row(lab)["state"] in USABLE)
    lab.figure("router_left", took * 1000)
    lab.check("over the second router", gateways() == [alive], gateways())
    changed = [e["data"] for e in lab.host.events() if e["kind"] == "router.changed"]
    lab.check("it is told, once", [(c["from"], c["to"]) for c in changed] == [(DEAD, alive)], changed)
    lab.check("from the prefix", source(lab) == "fd00:2", source(lab))

    lab.step("one prefix more changes nothing")
    last = lab.host.events()[-1]["n"]
    advertise.send(router, "lan", alive, "fd00:12::")
    lab.expect(10, "B has an address of it", lambda: preferred() == {"fd00:2", "fd00:12"})
    lab.never(2, "its path moves", lambda: source(lab) != "fd00:2")
    lab.step("the first prefix is deprecated")
    advertise.send(router, "lan", alive, "fd00:2::", preferred_s=0)
    took = lab.expect(10, "B's path moves", lambda: source(lab) == "fd00:12" and row(lab)["state"] in USABLE)
    lab.figure("source_left", took * 1000)
    lab.check("nothing else went down, and nothing switched", {d["path"].split("/")[0] for d in downs(last)} == {"eth1"}
              and lab.host.active_port() == "eth0", downs(last))

    lab.step("now B is the only way, and its prefix is deprecated")
    lab.pull("eth0")
    lab.expect(5, "B carries", lambda: lab.host.active_port() == "eth1")
    last = lab.host.events()[-1]["n"]
    advertise.send(router, "lan", alive, "fd00:2::")
    advertise.send(router, "lan", alive, "fd00:12::", preferred_s=0)
    lab.expect(10, "the kernel prefers the other one", lambda: preferred() == {"fd00:2"})
    lab.never(3, "it is cut for that", lambda: source(lab) != "fd00:12" or not lab.console.online())
    lab.check("no path went down", not downs(last), downs(last))
    lab.plug("eth0")
    lab.expect(20, "it moves once A's path is up", lambda: source(lab) == "fd00:2" and row(lab)["state"] in USABLE)
