"""G15, G16, G17. MTU 9000 of a bonded group under a running tunnel: adapters, bond, bridge, VLAN, taps have it, no link
goes down; a guest's jumbo frame crosses to the outside, untagged and in a VLAN; back to 1500 the same way."""
from lablib.wires import switch_knows_vlans, trunk

TOPOLOGY = "bond"
NEEDS = "bond vlan_filtering vlan"
GUEST = {"plain": "172.31.0.1", "ten": "172.31.0.2"}
PAYLOAD = 9000 - 28


def crosses(node, address, payload):
    """Whether a frame of that size, not to be cut into pieces, is answered."""
    return "1 received" in node.run(["ping", "-n", "-c1", "-W1", "-M", "do", "-s", str(payload), address], check=False)


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    switch, client, host = lab.node("sw"), lab.client("a"), lab.host
    for socket in ("p-eth0", "p-eth1", "c-a", "sw-a"):
        switch.ip("link", "set", socket, "mtu", "9000")
    client.ip("link", "set", "eth0", "mtu", "9000")
    switch_knows_vlans(lab, "a")
    for socket in ("p-eth0", "p-eth1", "c-a"):
        trunk(lab, socket, 10)
    client.ip("link", "add", "link", "eth0", "name", "eth0.10", "type", "vlan", "id", "10")
    client.ip("link", "set", "eth0.10", "up")
    for name, link in (("plain", "eth0"), ("ten", "eth0.10")):
        client.ip("route", "add", f"{GUEST[name]}/32", "dev", link)
    bridge = host.bridge("eth0")
    lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"]},
                      {"op": "network.create", "network": "ten", "kind": "vlan", "group": "lan", "vlan_id": 10},
                      {"op": "interface.attach", "interface": "plain", "vm": "v", "network": bridge},
                      {"op": "interface.attach", "interface": "ten", "vm": "v", "network": "ten"}])
    lab.expect(15, "the group has a path", lambda: host.path_states().get("eth0") in ("active", "standby"))
    vms = {name: lab.vm(name) for name in GUEST}
    for name, vm in vms.items():
        vm.node.ip("addr", "add", f"{GUEST[name]}/32", "dev", "eth0")
        vm.node.ip("route", "add", "192.168.1.0/24", "dev", "eth0")
    outside = lab.topology.uplink("a").client_address()
    for name, vm in vms.items():
        lab.expect(10, f"{name}: a common frame crosses", lambda vm=vm: crosses(vm.node, outside, 1472))
    bond = next(g["bond"] for g in host.ctl("groups") if g["group"] == "lan")
    links = ["eth0", "eth1", bond, bridge, *(vm.tap for vm in vms.values())]
    session, downs, address = host.session(), carrier_downs(lab, links), host.address("eth0")

    for mtu in (9000, 1500):
        lab.step(f"MTU {mtu}")
        lab.console.must([{"op": "group.update", "group": "lan", "mtu": mtu}])
        seen = {link["ifname"]: link["mtu"] for link in host.kernel("link") if link["ifname"] in links}
        lab.check("every link of the group has it", set(seen.values()) == {mtu} and len(seen) == len(links), seen)
        for name, vm in vms.items():
            vm.node.ip("link", "set", "dev", "eth0", "mtu", str(mtu))
            lab.expect(5, f"{name}: a frame of that size crosses", lambda vm=vm, mtu=mtu: crosses(vm.node, outside, mtu - 28))
        if mtu == 1500:
            vms["plain"].node.ip("link", "set", "dev", "eth0", "mtu", "9000")
            lab.check("a larger one does not", not crosses(vms["plain"].node, outside, PAYLOAD))
        lab.check("no link went down", carrier_downs(lab, links) == downs, [downs, carrier_downs(lab, links)])
        lab.expect(5, "the same session, address and path", lambda: (host.session(), host.address("eth0")) == (session, address)
                   and host.path_states().get("eth0") in ("active", "standby"))
    for mtu in (1499, 9001):
        refused = lab.console.request("POST", "/api/v1/hosts/hv-01/commands?wait=5", {
            "operations": [{"op": "group.update", "group": "lan", "mtu": mtu}]})
        lab.check(f"{mtu} is refused, naming the range", all(word in str(refused) for word in (str(mtu), "1500", "9000")), refused)


def carrier_downs(lab, links):
    """How often each link lost its carrier so far."""
    return {link: lab.host.node.sysfs(f"class/net/{link}/carrier_down_count") for link in links}
