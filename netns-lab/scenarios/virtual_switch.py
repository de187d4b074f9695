"""L1, L13, L16, C13, A10. The host is a switch: it learns where guests are, frames between two guests leave by no adapter;
guests of one adapter reach no host address of another and their traffic stays off it; a guest is in the LAN of its adapter,
with an address of that LAN's own DHCP server, as any machine there."""
from lablib.reach import Capture, Greeter, guest, reach
from lablib.wires import answers

TOPOLOGY = "two"
PORT = 7000


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    host, other = lab.host, lab.host.bridge("eth1")
    lab.console.must([{"op": "interface.attach", "interface": name, "vm": name, "network": other} for name in ("one", "two")])
    (one, first, _), (two, second, _) = guest(lab, "one"), guest(lab, "two")
    subnet = lab.topology.uplink("b").network()
    lab.check("guests have addresses of the LAN's own server", first.startswith(str(subnet.network_address)[:-1])
              and second.startswith(str(subnet.network_address)[:-1]), [first, second])
    outside = lab.topology.uplink("b").client_address()
    with Greeter(two.node, PORT, "two"), Greeter(lab.client("b"), PORT, "client"), Greeter(lab.node("hv"), PORT, "host"):
        lab.check("the LAN sees the guest with its own address", reach(one.node, outside, PORT) == f"client {first}")
        lab.check("and reaches it without a route", reach(lab.client("b"), second, PORT) == f"two {outside}")
        reach(one.node, second, PORT)
        learned = host.node.run(["bridge", "fdb", "show", "br", other])
        lab.check("the bridge has learned both", all(f"{vm.mac} dev {vm.tap}" in learned for vm in (one, two)), learned)
        lab.step("between two guests: no frame on an adapter")
        with Capture(host.node, ["eth0", "eth1"]) as wire:
            for _ in range(20):
                lab.check("they reach each other", reach(one.node, second, PORT) == f"two {first}")
        both = bytes.fromhex(one.mac.replace(":", "")), bytes.fromhex(two.mac.replace(":", ""))
        passed = [f for f in wire.having(both[0] + both[1], both[1] + both[0])]
        lab.check("the wire is silent", not passed, passed[:3])
        lab.step("the host's address on the other adapter")
        with Capture(host.node, ["eth0"]) as management:
            one.node.ip("route", "add", f"{host.address('eth0')}/32", "dev", "eth0")
            lab.check("is not answered for by ARP", not answers(one.node, host.address("eth0")))
            lab.check("guests work meanwhile", reach(one.node, outside, PORT) == f"client {first}")
        seen = management.having(*both)
        lab.check("nothing of a guest was on it", not seen, seen[:3])
        lab.check("no lease of one LAN is on the bridge of the other",
                  host.kernel_addresses("eth0") == [host.address("eth0")] and host.kernel_addresses("eth1") == [host.address("eth1")])
