"""Foreign things: a table of nft, a bridge, an address, routes and rules of others are untouched by start, commands,
drift repair and purge. A tap that a VM manager puts into our bridge is shown, counts as attached and is never taken out."""

TOPOLOGY = "two"
FOREIGN_NFT = """table inet foreign {
  set allowed { type ipv4_addr; elements = { 198.51.100.1, 198.51.100.2 } }
  chain input { type filter hook input priority 10; ip saddr @allowed accept; }
  chain nat { type nat hook prerouting priority -90; tcp dport 2222 redirect to :22; }
}
table ip nat {
  chain POSTROUTING { type nat hook postrouting priority 100; ip saddr 172.30.0.0/24 masquerade; }
}
"""


def run(lab):
    host = lab.host.node
    host.nft(FOREIGN_NFT)
    for line in ("link add foreign0 type bridge", "addr add 172.30.0.1/24 dev foreign0", "link set foreign0 up",
                 "route add 198.51.100.0/24 dev foreign0 proto 4", "route add default dev foreign0 table 77 proto 4",
                 "rule add pref 500 from 172.30.0.0/24 lookup 77 proto 4", "tuntap add dev foreigntap mode tap"):
        host.ip(*line.split())

    def foreign():
        routes = lab.host.kernel("-4", "route", "show", "table", "all")
        return {"nft": [host.run(["nft", "-s", "list", "table", *t.split()]) for t in ("inet foreign", "ip nat")],
                "routes": sorted(str(sorted(r.items())) for r in routes if r.get("dev") == "foreign0"
                                 and "linkdown" not in r.get("flags", []) or r.get("table") == "77"),
                "rules": [r for r in lab.host.kernel("rule") if r["priority"] == 500],
                "links": [(x["ifname"], x["mtu"], x["address"], x.get("master")) for x in lab.host.kernel("link")
                          if x["ifname"].startswith("foreign")],
                "addresses": [a["local"] for x in lab.host.kernel("-4", "addr", "show", "dev", "foreign0")
                              for a in x["addr_info"]]}

    before = foreign()
    lab.start(active="eth0")
    lab.wait_paths()
    lab.check("after the start", foreign() == before, [before, foreign()])
    lab.nat_network()
    lab.console.must([lab.publish("r-1"), {"op": "adapter.set", "adapter": "eth1", "mtu": 1600}])
    lab.console.must({"op": "gateway.withdraw", "rule": "r-1"})
    lab.check("after commands", foreign() == before, [before, foreign()])
    vm_manager(lab)
    lab.check("after a VM manager came and went", foreign() == before, [before, foreign()])
    card_away(lab)
    lab.check("after a card was away", foreign() == before, [before, foreign()])
    host.run(["nft", "delete", "table", "inet", "uplink"])
    lab.expect(3, "our own table is back", lambda: "uplink" in host.run(["nft", "list", "tables"]))
    lab.pull("eth0")
    lab.expect(2, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.check("after a repair and a failover", foreign() == before, [before, foreign()])
    lab.host.stop()
    lab.host.purge()
    lab.check("after the purge", foreign() == before, [before, foreign()])
    lab.host.start()


def card_away(lab):
    """A tap of its own in the bridge of a port whose card vanishes for a moment (a driver that is loaded anew)."""
    host, bridge = lab.host.node, lab.host.bridge("eth1")
    mac = lab.host.kernel("link", "show", "dev", "eth1")[0]["address"]
    host.ip("tuntap", "add", "dev", "vnet1", "mode", "tap")
    host.ip("link", "set", "vnet1", "master", bridge, "up")
    lab.expect(2, "it is seen", lambda: "vnet1" in str([n.get("foreign") for n in lab.host.ctl("networks")]))
    lab.step("the card vanishes")
    lab.remove_port("eth1")
    lab.expect(5, "the port is absent", lambda: lab.host.port("eth1")["state"] == "absent")
    lab.expect(5, "nothing is left to be written", lambda: lab.host.ctl("plan")["plan"] == [])
    lab.check("the tap is where it was put", lab.host.kernel("link", "show", "dev", "vnet1")[0].get("master") == bridge)
    lab.check("the bridge has no address", lab.host.kernel_addresses("eth1") == [], lab.host.kernel_addresses("eth1"))
    lab.step("and comes back")
    lab.return_port("eth1", mac=mac)
    lab.expect(15, "it is a path again", lambda: lab.host.path_states().get("eth1") in ("active", "standby"))
    lab.check("both are in one bridge", {lab.host.kernel("link", "show", "dev", name)[0].get("master")
                                         for name in ("eth1", "vnet1")} == {bridge})
    host.ip("link", "delete", "vnet1")


def vm_manager(lab):
    """Its tap in the bridge of a NAT network of ours."""
    host = lab.host.node
    lab.console.must({"op": "network.create", "network": "theirs", "kind": "nat", "subnet": "10.77.0.0/24"})
    host.ip("tuntap", "add", "dev", "vnet0", "mode", "tap")
    host.ip("link", "set", "vnet0", "master", "n-theirs", "up")

    def network():
        return next((n for n in lab.host.ctl("networks") if n["network"] == "theirs"), {})

    def master():
        return lab.host.kernel("link", "show", "dev", "vnet0")[0].get("master")

    lab.step("a VM manager puts a tap of its own into our bridge")
    lab.expect(2, "it is shown, and counted", lambda: (network().get("foreign"), network().get("interfaces")) == (["vnet0"], 1))
    for operation in ({"op": "network.delete", "network": "theirs"}, {"op": "model.replace", "model": {}}):
        answer = lab.console.command(operation)
        lab.check(f"{operation['op']} is refused, naming it", answer["state"] == "refused"
                  and any("vnet0" in line["what"] and "theirs" in line["what"] for line in answer["problems"]), answer)
    lab.console.must({"op": "network.update", "network": "theirs", "dns": ["192.0.2.53"]})
    lab.host.kill()
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
    lab.check("it is where it was put", master() == "n-theirs", master())
    host.ip("link", "set", "vnet0", "nomaster")
    lab.expect(2, "it counts no more", lambda: network().get("interfaces") == 0 and "foreign" not in network())
    lab.console.must({"op": "network.delete", "network": "theirs"})
    host.ip("link", "delete", "vnet0")
