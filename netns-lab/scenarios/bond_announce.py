"""A planned switch of a bond: a silent VM behind it is reachable at once, since its MAC is announced on the new member."""

TOPOLOGY = "bond"
NEEDS = "bond"
ADDRESS, MAC_AGEING_S = "192.168.1.77", 300


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"], "primary": "eth0"},
                      {"op": "interface.attach", "interface": "quiet", "vm": "vm-quiet", "network": lab.host.bridge("eth0")}])
    vm = lab.vm("quiet")
    vm.node.ip("addr", "add", f"{ADDRESS}/24", "dev", "eth0")
    client = lab.client("a")
    lab.expect(15, "the VM answers", lambda: ", 0% packet loss" in client.run(["ping", "-c1", "-W1", ADDRESS], check=False))
    sw = lab.node("sw")
    lab.check("the switch knows it behind eth0", "p-eth0" in behind(sw, vm.mac), behind(sw, vm.mac))
    last = lab.events_arrived()
    lab.step("planned switch: eth1 becomes active, both have carrier, the VM says nothing")
    bond = next(g["bond"] for g in lab.host.ctl("groups") if g["group"] == "lan")
    lab.host.node.ip("link", "set", "dev", bond, "type", "bond", "active_slave", "eth1")
    lab.expect(2, "the switch knows it behind eth1", lambda: "p-eth1" in behind(sw, vm.mac))
    event = lab.expect_event(last, "bond.failover")
    lab.check("planned, to eth1", (event["to"], event["cause"]) == ("eth1", "planned"), event)
    said = client.run(["ping", "-c5", "-i0.2", "-W1", ADDRESS], check=False)
    lab.check("and it answers", ", 0% packet loss" in said, said)


def behind(switch, mac):
    """What the switch has learned of a MAC."""
    return " ".join(line for line in switch.run(["bridge", "fdb", "show", "br", "sw-a"]).splitlines() if mac in line)
