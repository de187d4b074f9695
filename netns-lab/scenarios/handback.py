"""Take-over and hand-back: a machine that others have configured (ifupdown's addresses and routes, libvirt's bridge with a
NIC in it, Docker's bridge and tables, firewalld's table, sysctls of its own). The daemon takes the adapters it was given,
says what it found, an administrator's session over one of them lives through it all; purge gives everything back, byte for
byte. (A link that never was up gets a qdisc for good at its first up: that is not ours to undo.)"""
import difflib
import json

from lablib.administrator import Administrator
from lablib.product import USABLE

TOPOLOGY = "three"
NFT = """table inet firewalld {
  chain filter_INPUT { type filter hook input priority 10; policy accept; ct state established,related accept; iifname "lo" accept; }
  chain filter_FORWARD { type filter hook forward priority 10; policy accept; ct state established,related accept; }
}
table ip nat {
  chain DOCKER { }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; ip saddr 172.17.0.0/16 oifname != "docker0" counter masquerade; }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local counter jump DOCKER; }
}
table ip filter {
  chain DOCKER-USER { }
  chain FORWARD { type filter hook forward priority filter; policy accept; counter jump DOCKER-USER; }
}
"""


def picture(host):
    """Everything that an administrator could compare, without counters and what runs by itself."""
    parts = {"addr": ["-j", "addr"], "route4": ["-j", "-4", "route", "show", "table", "all"],
             "route6": ["-j", "-6", "route", "show", "table", "all"], "rule4": ["-j", "-4", "rule"],
             "rule6": ["-j", "-6", "rule"], "link": ["-j", "link"]}
    out = {name: host.run(["ip", *arguments]) for name, arguments in parts.items()}
    for name in ("route4", "route6"):
        out[name] = json.dumps(sorted(json.loads(out[name] or "[]"), key=str), indent=1)
    for name in ("addr", "link"):
        out[name] = json.dumps(json.loads(out[name]), indent=1)
    out["nft"] = host.run(["nft", "-s", "list", "ruleset"])
    lines = host.run(["sysctl", "-a", "-e"]).splitlines()
    out["sysctl"] = "\n".join(sorted(x for x in lines if x.startswith(("net.ipv4.conf.", "net.ipv6.conf.", "net.bridge.",
                                                                       "net.ipv4.ip_forward", "net.ipv4.fwmark_reflect",
                                                                       "net.ipv4.tcp_fwmark_accept"))
                                     and "stable_secret" not in x))
    return out


def difference(before, after):
    return {name: list(difflib.unified_diff(text.splitlines(), after[name].splitlines(), lineterm="", n=4))
            for name, text in before.items() if text != after[name]}


def run(lab):
    host, uplink = lab.host.node, {u.port: u for u in lab.topology.uplinks}
    net0, net1 = uplink["eth0"].network(), uplink["eth1"].network()
    ours = str(net0[50])
    lab.step("a machine that others have configured")
    for line in ("link set eth0 up", f"addr add {ours}/{net0.prefixlen} brd {net0.broadcast_address} dev eth0 label eth0:adm",
                 f"addr add {net0[51]}/{net0.prefixlen} dev eth0", "addr add 10.77.0.1/32 dev eth0 scope link",
                 "addr add fd00:77::1/64 dev eth0 nodad",
                 f"route add default via {uplink['eth0'].gateway} dev eth0 proto static metric 100 initcwnd 20",
                 f"route add 198.51.100.0/24 via {net0[1]} dev eth0 src {ours}",
                 "route add default via fd00:77::fe dev eth0 metric 512",
                 # As NetworkManager does: the route of an address is its owner's, and says that it is the kernel's.
                 "addr add 10.78.0.1/24 dev eth0 noprefixroute", "addr add fd00:78::1/64 dev eth0 nodad noprefixroute",
                 "route add 10.78.0.0/24 dev eth0 proto kernel scope link src 10.78.0.1 metric 100",
                 "route add fd00:78::/64 dev eth0 proto kernel metric 100",
                 "route add 198.18.0.0/24 via 10.78.0.9 dev eth0 proto static metric 100",
                 "link set eth1 up", "link set eth1 down", "link set eth1 mtu 1400", f"addr add {net1[60]}/{net1.prefixlen} dev eth1",
                 "link add virbr0 type bridge forward_delay 0", "addr add 192.168.122.1/24 dev virbr0", "link set virbr0 up",
                 "link set eth2 master virbr0", "link set eth2 up",
                 "link add docker0 type bridge", "addr add 172.17.0.1/16 brd 172.17.255.255 dev docker0", "link set docker0 up",
                 "link add vethd type veth peer name vethc", "link set vethd master docker0", "link set vethd up",
                 "rule add pref 500 from 172.17.0.0/16 lookup 77", "route add default dev docker0 table 77"):
        host.ip(*line.split())
    host.nft(NFT)
    for key, value in (("net/ipv4/conf/eth1/forwarding", 1), ("net/ipv4/conf/eth0/rp_filter", 1),
                       ("net/ipv6/conf/eth1/disable_ipv6", 1), ("net/ipv4/conf/all/src_valid_mark", 0)):
        host.sysctl(key, value)
    administrator = Administrator(lab, ours)
    lab.expect(5, "no address is tentative", lambda: "tentative" not in host.run(["ip", "addr"]))
    before = picture(host)
    foreign = {name: before[name] for name in ("nft",)}
    with administrator:
        lab.step("first start")
        lab.start(active="eth0")
        lab.expect(15, "eth1 has a path as well", lambda: lab.host.path_states().get("eth1") in USABLE)
        administrator.alive("after the start")
        events = {}
        for event in lab.host.events():
            events.setdefault(event["kind"], []).append(event["data"])
        taken = {e["port"]: e for e in events.get("takeover.adapter", [])}
        lab.check("it says which adapters it takes, and what was on them", taken.keys() == {"eth0", "eth1"}
                  and f"{ours}/{net0.prefixlen}" in taken["eth0"]["addresses"]
                  and any(r.startswith("default via") for r in taken["eth0"]["routes"]), taken)
        lab.check("what is in the way", [(e["port"], e["master"]) for e in events.get("takeover.conflict", [])]
                  == [("eth2", "virbr0")], events.get("takeover.conflict"))
        [others] = events.get("takeover.foreign", [{}])
        lab.check("and what else is there", {"bridge virbr0", "bridge docker0"} <= set(others.get("links", []))
                  and {"inet firewalld", "ip nat", "ip filter"} <= set(others.get("nft_tables", [])), others)
        lab.check("the NIC in the foreign bridge stays there",
                  lab.host.kernel("link", "show", "dev", "eth2")[0]["master"] == "virbr0")
        lab.check("the address is on the bridge", ours in lab.host.kernel_addresses("eth0"), lab.host.kernel_addresses("eth0"))
        lab.nat_interface()
        lab.console.must([lab.publish("r-1"), {"op": "adapter.set", "adapter": "eth1", "mtu": 1600}])
        administrator.alive("after commands")
        lab.step("a restart says nothing of this again")
        lab.host.stop()
        administrator.alive("while the daemon is away")
        lab.host.start()
        lab.expect(15, "the host is online", lab.console.online)
        kinds = [e["kind"] for e in lab.host.events()]
        lab.check("once", kinds.count("takeover.foreign") == 1 and kinds.count("takeover.adapter") == 2, kinds)
        now = host.run(["nft", "-s", "list", "ruleset"])
        lab.check("foreign tables are as they were", all(line in now for line in foreign["nft"].splitlines()))
        lab.step("hand-back")
        lab.host.stop()
        lab.host.purge()
        administrator.alive("after the purge")
    lab.expect(5, "no address is tentative any more", lambda: "tentative" not in host.run(["ip", "addr"]))
    left = difference(before, picture(host))
    lab.check("everything is as it was found", not left, left)
    lab.step("and the machine can be taken again")
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)

