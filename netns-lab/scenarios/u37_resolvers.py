"""U37. DHCP names four resolvers and only the fourth one answers: the Console is found by name over that port alone."""

TOPOLOGY = "one"
DEAD = ("192.168.1.66", "192.168.1.67", "192.168.1.68")


def run(lab):
    server = lab.servers[lab.topology.uplinks[0].name]
    server.uplink.dhcp_options = [f"option:dns-server,{','.join(DEAD)},{server.router_address()}"]
    server.start_dhcp()
    lab.console.start()
    lab.host.start()
    took = lab.expect(25, "the host is online", lab.console.online)
    lab.figure("start_to_online", took * 1000)
    lab.check("all four are kept", len(lab.host.lease("eth0")["dns"]) == 4, lab.host.lease("eth0"))
