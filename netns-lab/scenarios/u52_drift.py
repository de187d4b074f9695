"""U52. Somebody deletes a route, a rule, an address or our nft table, or sets a sysctl of ours (of which no kernel tells):
repaired within 2 s, and reported."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    lab.console.must(lab.publish("r-1"))
    bridge, host = lab.host.bridge("eth1"), lab.host.node
    [address] = lab.host.kernel_addresses("eth1")
    table = next(r["table"] for r in lab.host.kernel("rule") if r.get("src") == address)

    def routes():
        return [r for r in lab.host.kernel("-4", "route", "show", "table", table) if r["dst"] == "default"]

    def nft():
        return host.run(["nft", "list", "table", "inet", "uplink"], check=False)

    def reads(path):
        return host.run(["cat", f"/proc/sys/{path}"]).strip()

    ruleset = nft()
    lab.check("our table holds the publication", "8080" in ruleset, ruleset[-800:])
    damages = {
        "route": (lambda: host.ip("route", "del", "default", "table", table), routes),
        "rule": (lambda: host.ip("rule", "del", "from", address),
                 lambda: [r for r in lab.host.kernel("rule") if r.get("src") == address]),
        "address": (lambda: host.ip("addr", "del", f"{address}/24", "dev", bridge),
                    lambda: address in lab.host.kernel_addresses("eth1") and routes()),
        "nft_table": (lambda: host.run(["nft", "delete", "table", "inet", "uplink"]), lambda: "8080" in nft()),
        "nft_flush": (lambda: host.run(["nft", "flush", "ruleset"]), lambda: "8080" in nft()),
        "bridge_port": (lambda: host.ip("link", "set", "eth1", "nomaster"),
                        lambda: lab.host.kernel("link", "show", "dev", "eth1")[0].get("master") == bridge)}
    for path, ours, theirs in (("net/ipv4/ip_forward", "1", 0), (f"net/ipv4/conf/{bridge}/arp_ignore", "1", 0)):
        lab.check(f"{path} is {ours}", reads(path) == ours, reads(path))
        damages[path.split("/")[-1]] = (lambda path=path, theirs=theirs: host.sysctl(path, theirs),
                                        lambda path=path, ours=ours: reads(path) == ours)
    for name, (damage, repaired) in damages.items():
        lab.step(f"damage: {name}")
        last = max([e["n"] for e in lab.console.events()], default=0)
        damage()
        took = lab.expect(2, f"{name} is repaired", repaired, interval=0.02)
        lab.figure(name, took * 1000)
        lab.expect(3, f"{name}: the repair is reported",
                   lambda: [e for e in lab.console.events(last) if "drift" in e["kind"] or "repair" in e["kind"]], 0.05)
    lab.check("the tunnel never left A", lab.host.active_port() == "eth0")
