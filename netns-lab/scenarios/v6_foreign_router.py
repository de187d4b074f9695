"""A port that the daemon was told to leave alone has its IPv6 from a router's advertisements. The first IPv6 network of ours makes
the machine forward, which would end that for good: route and address stay, advertisements count on, and a purge gives the
setting back."""
import json

from lablib.reach import advertise, global_addresses

TOPOLOGY = "two"
KEY = "net/ipv6/conf/eth1/accept_ra"


def run(lab):
    host = lab.host.node
    lab.host.settings["adapters"]["ignore"] = ["eth1"]
    host.sysctl("net/ipv6/conf/all/forwarding", 0)
    host.sysctl("net/ipv6/conf/eth1/disable_ipv6", 0)
    host.sysctl(KEY, 1)
    host.ip("link", "set", "eth1", "up")
    advertise(lab, "b", "fd00:2::")

    def advertised():
        """By a router, and counted by the kernel: what is left of the time it lasts, in seconds."""
        routes = json.loads(host.run(["ip", "-j", "-6", "route", "show", "default", "dev", "eth1"]) or "[]")
        return [route.get("expires", 0) for route in routes if route["protocol"] == "ra"]

    lab.expect(20, "eth1 has a router and an address", lambda: advertised() and global_addresses(host, "eth1"))
    lab.start(active="eth0")
    lab.expect(15, "the host is online", lab.console.online)
    lab.check("nothing of it is touched", host.sysctl(KEY) == "1")
    lab.console.must({"op": "network.create", "network": "one", "kind": "nat", "subnet6": "fd00:aa:0:1::/64"})
    lab.expect(5, "the machine forwards", lambda: host.sysctl("net/ipv6/conf/all/forwarding") == "1")
    lab.check("the router is there", advertised())
    least = [1 << 31]

    def counted_on():
        """What is left has grown: so it was advertised again."""
        left = (advertised() or [0])[0]
        grown = left > least[0]
        least[0] = min(least[0], left)
        return grown

    lab.expect(40, "its advertisements count on", counted_on)     # In its first minute dnsmasq takes up to 20 s.
    lab.check("by this", host.sysctl(KEY) == "2")
    lab.check("nothing is left to be written", lab.host.ctl("plan")["plan"] == [], lab.host.ctl("plan")["plan"])
    lab.host.stop()
    lab.host.purge()
    lab.check("given back", host.sysctl(KEY) == "1", host.sysctl(KEY))

    lab.step("as after a reboot: forwarding begins before the link is up")
    host.ip("link", "set", "eth1", "down")
    lab.check("it does not forward", host.sysctl("net/ipv6/conf/all/forwarding") == "0")
    lab.host.start()
    lab.expect(15, "it forwards", lambda: host.sysctl("net/ipv6/conf/all/forwarding") == "1")
    host.ip("link", "set", "eth1", "up")
    lab.expect(40, "eth1 has a router and an address", lambda: advertised() and global_addresses(host, "eth1"))
