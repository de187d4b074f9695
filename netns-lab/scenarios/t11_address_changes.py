"""T11. Link down, address deleted, lease in another subnet: the path's socket closes at once and a new one is dialled
from the new source within 1 s of the address. A publication follows the address, and answers there alone."""
import time

from lablib.traffic import TcpEcho, tcp_greeting

TOPOLOGY = "three"


def connections(lab, address):
    """The host's TCP connections from an address that stand, as ss shows them."""
    return lab.host.node.run(["ss", "-Htn", "state", "established", f"src {address}"]).splitlines()


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network()
    lab.console.must(lab.publish("r-web", port=8080, to_port=80))
    old = lab.host.address("eth1")
    lab.step("move B's cable into the network of C")
    lab.plug("eth1", into="c")
    lab.expect(15, "B has an address of C's network", lambda: lab.host.address("eth1").startswith("10.77.3."))
    since = time.monotonic()
    lab.expect(1, "no connection from the old one is left", lambda: not connections(lab, old))
    lab.expect(2, "B has a usable path from it", lambda: lab.host.path_states()["eth1"] == "standby")
    took = time.monotonic() - since
    lab.figure("address_to_path", took * 1000)
    lab.check("the path was dialled within 1 s", took <= 1.0, took)
    lab.expect(2, "the old address is gone", lambda: old not in lab.host.kernel_addresses("eth1"))
    stale = [r for r in lab.host.kernel("rule") if r.get("src") == old]
    lab.check("and its rule with it", not stale, stale)
    lab.check("nor is a connection made from it anew", not connections(lab, old), connections(lab, old))
    lab.step("the publication is at the new address: from outside, from the host, from the guest itself; not at the old one")
    new = lab.host.address("eth1")
    with TcpEcho(vm.node, 80, "web"):
        for node in (lab.client("c"), lab.host.node, vm.node):
            lab.expect(2, f"{node.name} reaches it at {new}", lambda node=node: tcp_greeting(node, new, 8080).startswith("web "))
        lab.check("its client's address is intact", tcp_greeting(lab.client("c"), new, 8080)
                  == f"web {lab.topology.uplink('c').client_address()}")
        for node in (lab.host.node, vm.node):
            lab.check(f"{node.name} finds nobody at {old}", not tcp_greeting(node, old, 8080, 1.0))
    lab.step("delete the address under the active path")
    [address] = lab.host.kernel_addresses("eth0")
    before = lab.host.path("eth0")["since"]
    lab.host.node.ip("addr", "del", f"{address}/24", "dev", lab.host.bridge("eth0"))
    lab.expect(2, "the address is back", lambda: address in lab.host.kernel_addresses("eth0"))
    lab.expect(3, "a new path over it is usable",
               lambda: lab.host.path_states()["eth0"] in ("standby", "active") and lab.host.path("eth0")["since"] != before)
    lab.check("the host is online", lab.console.online())
