"""U23. Renewals on A unanswered, the lease ends: only A's address, routes and rules go; B and the tunnel are untouched.

Kea gives leases of 20 s; dnsmasq's minimum is two minutes."""

TOPOLOGY = "kea"


def run(lab):
    lab.pull("eth0")
    lab.start(active="eth1")
    lab.plug("eth0")
    lab.expect(10, "A is standby", lambda: lab.host.path_states().get("eth0") == "standby")
    address, bridge_b = lab.host.address("eth0"), lab.host.bridge("eth1")

    def of_b():
        routes = [r for r in lab.host.kernel("route", "show", "table", "all") if r.get("dev") == bridge_b]
        return lab.host.kernel_addresses("eth1"), sorted(str(sorted(r.items())) for r in routes)

    def resolvers():
        """Of the guests: what dnsmasq of the network `default` asks, and over which link."""
        return "".join(path.read_text() for path in (lab.host.state / "dnsmasq").rglob("servers"))

    bridge_a = lab.host.bridge("eth0")
    lab.expect(5, "guests' names are asked over both", lambda: f"@{bridge_a}" in resolvers() and f"@{bridge_b}" in resolvers())
    before = of_b()
    lab.step("A's DHCP server dies")
    lab.servers["a"].stop_dhcp()
    lab.never(8, "the address goes before the lease ends", lambda: address not in lab.host.kernel_addresses("eth0"))
    took = lab.expect(16, "A's address is gone", lambda: not lab.host.kernel_addresses("eth0"))
    lab.figure("death_to_removal", 8 + took, "s")
    lab.expect(2, "A says carrier, no lease", lambda: lab.host.port("eth0")["state"] == "carrier, no lease")
    lab.expect(2, "no rule of ours names A's address",
               lambda: not [r for r in lab.host.kernel("rule") if r.get("src") == address])
    lab.expect(2, "names are asked over B alone", lambda: f"@{bridge_a}" not in resolvers() and f"@{bridge_b}" in resolvers())
    lab.expect(2, "no IPv4 route of ours leads through A", lambda: not [
        r for r in lab.host.kernel("-4", "route", "show", "table", "all")
        if r.get("dev") == bridge_a and r.get("protocol") == "117"])
    lab.check("B's addresses and routes are what they were", of_b() == before, [before, of_b()])
    lab.check("the tunnel is on B", lab.host.active_port() == "eth1")
    lab.step("the server comes back")
    lab.servers["a"].start_dhcp()
    took = lab.expect(8, "A has a lease", lambda: lab.host.port("eth0")["state"] == "leased")
    lab.figure("return_to_lease", took * 1000, target=5000)
