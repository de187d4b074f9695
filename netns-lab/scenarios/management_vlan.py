"""A management VLAN: DHCP and the path of a group are on its VLAN, tagged on the wire; guests stay on the untagged one and
do not hear it. Its device has the port's MAC (N20). Set and taken away under a running tunnel; a network with that id is refused."""
from lablib.wires import TaggedCapture, access, answers, switch_knows_vlans, trunk

TOPOLOGY = "two"
NEEDS = "vlan_filtering vlan"
VLAN, GUEST = 20, "192.168.1.77"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    host, session = lab.host, lab.host.session()
    bridge, address = host.bridge("eth0"), host.address("eth0")
    lab.console.must([{"op": "interface.attach", "interface": "web", "vm": "v", "network": bridge}])
    vm, client = lab.vm("web"), lab.client("a")
    vm.node.ip("addr", "add", f"{GUEST}/24", "dev", "eth0")
    lab.expect(10, "the guest and the client reach each other", lambda: answers(client, GUEST))
    lab.step("the router of a moves into VLAN 20, the host's socket is a trunk")
    switch_knows_vlans(lab, "a")
    trunk(lab, "p-eth0", VLAN)
    access(lab, "r-a", VLAN)
    lab.expect(15, "the tunnel is on eth1", lambda: host.active_port() == "eth1")
    lab.step("the group gets its management VLAN")
    with TaggedCapture(host.node, ["eth0"]) as wire:
        lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0"], "management_vlan": VLAN}])
        lab.expect(20, "it has a path", lambda: host.path_states().get("eth0") in ("active", "standby"))
        lab.expect(5, "frames are seen", lambda: wire.tags(host_mac(lab)))
    link = next(g for g in host.ctl("groups") if g["group"] == "lan")["link"]
    lab.check("the lease is on the VLAN's device", addresses(lab, link) == [host.address("eth0")]
              and not host.kernel_addresses("eth0"), host.kernel("-4", "addr"))
    lab.check("the device has the MAC of its port", host.kernel("link", "show", "dev", link)[0]["address"] == host_mac(lab))
    lab.check("the same address", host.address("eth0") == address, host.address("eth0"))
    lab.check("the same session", host.session() == session)
    with TaggedCapture(host.node, ["eth0"]) as wire, TaggedCapture(vm.node, ["eth0"]) as heard:
        lab.pull("eth1")
        lab.expect(10, "the tunnel is on the management VLAN", lambda: host.active_port() == "eth0")
        lab.console.must({"op": "adapter.set", "adapter": "eth1", "mtu": 1500})
    lab.check("commands came by VLAN 20 only", wire.tags(host_mac(lab)) == {VLAN}, wire.tags(host_mac(lab)))
    lab.check("the guest heard nothing of it", not heard.tags(host_mac(lab)), len(heard.frames))
    lab.plug("eth1")
    lab.step("guests stay on the untagged VLAN")
    lab.expect(10, "the client is reached", lambda: answers(client, GUEST))
    lab.check("the router is not", not answers(vm.node, "192.168.1.1"))
    refused = lab.console.command({"op": "network.create", "network": "twenty", "kind": "vlan", "group": "lan", "vlan_id": VLAN})
    lab.check("a network with that VLAN id is refused", refused["state"] == "refused"
              and "is the management VLAN of group" in str(refused["problems"]), refused)
    lab.step("it is taken away again")
    access_back(lab)
    lab.expect(15, "the tunnel is on eth1", lambda: host.active_port() == "eth1")
    lab.console.must([{"op": "group.update", "group": "lan", "management_vlan": None}])
    lab.expect(20, "it has a path", lambda: host.path_states().get("eth0") in ("active", "standby"))
    lab.check("the lease is on the bridge", host.kernel_addresses("eth0") == [host.address("eth0")], host.kernel("-4", "addr"))
    lab.check("no VLAN device is left", not host.kernel("link", "show", "type", "vlan"))
    lab.check("the same session", host.session() == session)


def access_back(lab):
    """The router is in the untagged VLAN again."""
    switch = lab.node("sw")
    switch.run(["bridge", "vlan", "add", "dev", "r-a", "vid", "1", "pvid", "untagged"])
    switch.run(["bridge", "vlan", "del", "dev", "r-a", "vid", str(VLAN)])


def host_mac(lab):
    return next(p["mac"] for p in lab.host.ctl("ports") if p["port"] == "eth0")


def addresses(lab, link):
    return [a["local"] for x in lab.host.kernel("-4", "addr", "show", "dev", link) for a in x.get("addr_info", [])]
