"""U33. Sixteen ports get DHCP at once: all leases within 5 s, one client each."""

TOPOLOGY = "sixteen"
EXCLUSIVE = True


def run(lab):
    lab.console.start()
    lab.host.start()
    took = lab.expect(5, "all sixteen have leases", lambda: sum(
        p["state"] == "leased" for p in lab.host.ctl("ports")) == 16)
    lab.figure("all_leases", took * 1000)
    took = lab.expect(10, "all sixteen have usable paths", lambda: sum(
        s in ("standby", "active") for s in lab.host.path_states().values()) == 16)
    lab.figure("all_paths", took * 1000)
    clients = lab.host.dhcp_clients()
    lab.check("one DHCP client per port", len(clients) == 16 and set(map(len, clients.values())) == {1}, clients)
    lab.check("each address is in the kernel", all(
        lab.host.kernel_addresses(p) == [lab.host.address(p)] for p in lab.topology.ports))
