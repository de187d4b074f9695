"""Every physical interface: real NICs, no override in the configuration. The daemon finds all of them, pulls and plugs
by QEMU move the tunnel, a NIC renamed while it runs stays the same port."""
from lablib.traffic import CommandStream

TOPOLOGY = "virtio"
NEEDS = "virtio vlan_filtering"


def run(lab):
    host, ports = lab.host, lab.topology.ports
    lab.check("no override", "match" not in host.settings["adapters"])
    lab.start(active="eth0")
    lab.wait_paths()
    lab.check("every NIC is a port, and nothing else", sorted(p["port"] for p in host.ctl("ports")) == ports,
              host.ctl("ports"))
    for port in ports:
        [bridge] = host.kernel("-d", "link", "show", "dev", host.bridge(port))
        lab.check(f"{port}: its bridge filters VLANs", bridge["linkinfo"]["info_data"]["vlan_filtering"] == 1, bridge)
        lab.check(f"{port}: the lease is in the kernel", host.kernel_addresses(port) == [host.address(port)])

    lab.nat_interface()
    session = host.session()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 10)
        lab.step("QEMU pulls A's cable")
        lab.pull("eth0")
        took = lab.expect(1.0, "the tunnel is on B", lambda: host.active_port() == "eth1")
        lab.figure("switch", took * 1000)
        count = len(stream.replied())
        lab.expect(2.0, "commands are answered over B", lambda: len(stream.replied()) > count + 3)
    lab.check("it is the same session", host.session() == session, [session, host.session()])
    lab.check_exactly_once(stream)
    lab.check("the kernel saw no carrier", host.node.sysfs("class/net/eth0/carrier") == "0")
    lab.plug("eth0")
    lab.expect(10, "A is standby", lambda: host.path_states()["eth0"] == "standby")

    lab.step("C is renamed while it runs")
    address = host.address("eth2")
    for line in ("link set eth2 down", "link set eth2 name lan2", "link set lan2 up"):
        host.node.ip(*line.split())
    lab.expect(10, "C under its new name is standby", lambda: host.path_states().get("lan2") == "standby")
    lab.check("C has the address it had", host.address("lan2") == address, [address, host.ctl("leases")])
    lab.check("the old name is gone", "eth2" not in host.path_states(), host.path_states())
    lab.check("C's bridge is the same", host.kernel("link", "show", "dev", "lan2")[0]["master"] == host.bridge("eth2"))
