"""G15, G16 on a single adapter, by adapter.set: MTU 9000 reaches adapter, bridge and tap without a link that goes down, a guest's
frame of 9000 bytes crosses to the outside and back, the session stays; back to 1500 the same way."""
from lablib.wires import answers

TOPOLOGY = "two"
GUEST = "192.168.1.77"


def crosses(node, address, size):
    """Whether an IPv4 packet of that size, not to be cut into pieces, is answered."""
    return "1 received" in node.run(["ping", "-n", "-c1", "-W1", "-M", "do", "-s", str(size - 28), address], check=False)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    host, client = lab.host, lab.client("a")
    for socket in ("p-eth0", "c-a", "sw-a"):
        lab.node("sw").ip("link", "set", socket, "mtu", "9000")
    client.ip("link", "set", "eth0", "mtu", "9000")
    lab.console.must({"op": "interface.attach", "interface": "web", "vm": "v", "network": host.bridge("eth0")})
    vm, session, address = lab.vm("web"), host.session(), host.address("eth0")
    vm.node.ip("addr", "add", f"{GUEST}/24", "dev", "eth0")
    outside = lab.topology.uplink("a").client_address()
    lab.expect(10, "the guest reaches the outside", lambda: answers(vm.node, outside))
    links = ["eth0", host.bridge("eth0"), vm.tap]

    def downs():
        return [host.node.sysfs(f"class/net/{link}/carrier_down_count") for link in links]

    before = downs()
    for mtu in (9000, 1500):
        lab.step(f"MTU {mtu}")
        lab.console.must({"op": "adapter.set", "adapter": "eth0", "mtu": mtu})
        seen = {x["ifname"]: x["mtu"] for x in host.kernel("link") if x["ifname"] in links}
        lab.check("adapter, bridge and tap have it", list(seen.values()) == [mtu] * 3, seen)
        vm.node.ip("link", "set", "eth0", "mtu", str(mtu))
        lab.expect(5, "a guest's packet of that size crosses", lambda mtu=mtu: crosses(vm.node, outside, mtu))
        vm.node.ip("link", "set", "eth0", "mtu", "9000")
        lab.check("9000 bytes cross with 9000 only", crosses(vm.node, outside, 9000) == (mtu == 9000))
        lab.check("no link went down", downs() == before, [before, downs()])
        lab.expect(5, "the same session, address and path", lambda: (host.session(), host.address("eth0")) == (session, address)
                   and host.path_states()["eth0"] in ("active", "standby"))
