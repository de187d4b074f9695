"""A planned switch of a bond: silent VMs behind it, one on a VLAN, are reachable at once, since their MACs are announced on the
new member: a RARP frame each, with the VLAN's tag for the one on the VLAN and none for the other, on that member alone."""
from lablib.reach import BROADCAST, mac_bytes
from lablib.wires import TaggedCapture, answers, switch_knows_vlans, trunk

TOPOLOGY = "bond"
NEEDS = "bond vlan_filtering vlan"
VLAN, MAC_AGEING_S = 10, 300
ADDRESS = {"quiet": "192.168.1.77", "tagged": "172.31.0.77"}
OUTSIDE, ETH_P_RARP = "172.31.0.210", b"\x80\x35"


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    switch_knows_vlans(lab, "a")
    for socket in ("p-eth0", "p-eth1", "c-a"):
        trunk(lab, socket, VLAN)
    client, sw = lab.client("a"), lab.node("sw")
    client.ip("link", "add", "link", "eth0", "name", "eth0.10", "type", "vlan", "id", str(VLAN))
    client.ip("addr", "add", f"{OUTSIDE}/24", "dev", "eth0.10")
    client.ip("link", "set", "eth0.10", "up")
    lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"], "primary": "eth0"},
                      {"op": "network.create", "network": "ten", "kind": "vlan", "group": "lan", "vlan_id": VLAN},
                      {"op": "interface.attach", "interface": "quiet", "vm": "vm-quiet", "network": lab.host.bridge("eth0")},
                      {"op": "interface.attach", "interface": "tagged", "vm": "vm-tagged", "network": "ten"}])
    vms = {name: lab.vm(name) for name in ADDRESS}
    for name, vm in vms.items():
        vm.node.ip("addr", "add", f"{ADDRESS[name]}/24", "dev", "eth0")
        lab.expect(15, f"{name} answers", lambda name=name: answers(client, ADDRESS[name]))
        lab.check(f"the switch knows {name} behind eth0", "p-eth0" in behind(sw, vm.mac), behind(sw, vm.mac))
    last = lab.events_arrived()
    lab.step("planned switch: eth1 becomes active, both have carrier, the VMs say nothing")
    bond = next(g["bond"] for g in lab.host.ctl("groups") if g["group"] == "lan")
    with TaggedCapture(sw, ["p-eth0", "p-eth1"], entering=True) as wire:
        lab.host.node.ip("link", "set", "dev", bond, "type", "bond", "active_slave", "eth1")
        for name, vm in vms.items():
            lab.expect(2, f"the switch knows {name} behind eth1", lambda vm=vm: "p-eth1" in behind(sw, vm.mac))
    event = lab.expect_event(last, "bond.failover")
    lab.check("planned, to eth1", (event["to"], event["cause"]) == ("eth1", "planned"), event)
    for name, vm in vms.items():
        said = announced(wire, vm.mac)
        lab.check(f"{name} is announced by RARP, on eth1 only, in its VLAN only",
                  said and said == {("p-eth1", VLAN if name == "tagged" else None)}, said)
        lab.check(f"{name} answers", answers(client, ADDRESS[name], count=5, wait_s=1))
    lab.check("no other VLAN was announced into", {vlan for _, vlan, data in wire.frames if data[12:14] == ETH_P_RARP}
              == {None, VLAN}, [f for f in wire.frames if f[2][12:14] == ETH_P_RARP])


def announced(wire, mac):
    """(link, VLAN) of the RARP frames that name a MAC, each a broadcast from it."""
    sender = mac_bytes(mac)
    return {(link, vlan) for link, vlan, data in wire.frames
            if data[12:14] == ETH_P_RARP and data[:6] == mac_bytes(BROADCAST) and data[6:12] == sender and sender in data[14:]}


def behind(switch, mac):
    """What the switch has learned of a MAC."""
    return " ".join(line for line in switch.run(["bridge", "fdb", "show", "br", "sw-a"]).splitlines() if mac in line)
