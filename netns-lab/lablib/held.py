"""A port that somebody else's bridge or bond holds, with the address on it: left there, lived beside, taken when released."""
from .administrator import Administrator
from .product import USABLE


def run(lab, kind, *options):
    """The first start beside br0 (or bond0), which holds eth0, the machine's address and its default route."""
    host, uplink = lab.host.node, {u.port: u for u in lab.topology.uplinks}
    network, holder = uplink["eth0"].network(), f"{kind}0"
    address = str(network[50])
    for line in (f"link add {holder} type {kind} {' '.join(options)}", "link set eth0 down", f"link set eth0 master {holder}",
                 "link set eth0 up", f"link set {holder} up", f"addr add {address}/{network.prefixlen} dev {holder}",
                 f"route add default via {uplink['eth0'].gateway} dev {holder} proto static metric 50"):
        host.ip(*line.split())
    administrator = Administrator(lab, address)

    def picture():
        return [(x["ifname"], x["mtu"], x.get("master")) for x in lab.host.kernel("link") if x["ifname"] in (holder, "eth0")] + [
            (r["dst"], r.get("gateway"), r.get("metric")) for r in lab.host.kernel("-4", "route") if r.get("dev") == holder]

    before = picture()
    with administrator:
        lab.step(f"first start beside {holder}")
        lab.start(active="eth1")
        administrator.alive("after the start")
        [conflict] = [e["data"] for e in lab.host.events() if e["kind"] == "takeover.conflict"]
        lab.check("it says who holds the port, and how to release it", conflict["master"] == holder
                  and "ip link set eth0 nomaster" in conflict["what"], conflict)
        lab.check("nothing of theirs has changed", picture() == before, [before, picture()])
        lab.check("there is no path over it", lab.host.path_states().get("eth0", "down") not in USABLE)
        lab.step("commands leave it where it is")
        refused = lab.console.command([{"op": "adapter.set", "adapter": "eth0", "mtu": 1600}])
        lab.nat_interface()
        lab.console.must([lab.publish("r-1")])
        administrator.alive(f"after commands ({refused['state']})")
        lab.check("nothing of theirs has changed", picture() == before, [before, picture()])
        lab.host.kill()
        lab.host.start()
        lab.expect(15, "the host is online", lab.console.online)
        administrator.alive("after a restart")
    lab.step("released by hand: taken")
    host.ip("link", "set", "eth0", "nomaster")
    host.ip("link", "delete", holder)
    host.ip("link", "set", "eth0", "up")
    lab.expect(20, "it has a path", lambda: lab.host.path_states().get("eth0") in USABLE)
