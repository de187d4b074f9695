"""C3. One model, two hosts: the group of the same name has another adapter on each; a network on it is one LAN, in which
guests of both hosts reach each other."""
import json

from lablib.cluster import Member
from lablib.reach import Greeter, reach
from lablib.vm import Vm

TOPOLOGY = "two"
PORT = 7000


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    second = Member(lab, 2, ["b", "a"])      # Its eth1 is on the switch that eth0 of the first is on.
    second.start()
    lab.expect(15, "the second host has its leases", lambda: second.address("eth0") and second.address("eth1"))
    lab.step("the same group and network on both, by different adapters")
    vms = {}
    for host, adapter, name in ((lab.host, "eth0", "one"), (second, "eth1", "two")):
        file = host.node.dir / "apply.json"
        file.write_text(json.dumps({"operations": [
            {"op": "group.create", "group": "vms", "adapters": [adapter]},
            {"op": "network.create", "network": "lan", "kind": "untagged", "group": "vms"},
            {"op": "interface.attach", "interface": name, "vm": name, "network": "lan"}]}))
        host.uplinkctl("apply", file)
        group = next(g for g in host.ctl("groups") if g["group"] == "vms")
        lab.check(f"{name}: the group has {adapter}", group["adapters"] == [adapter], group)
    for host, name, address in ((lab.host, "one", "192.168.1.77"), (second, "two", "192.168.1.78")):
        vms[name] = Vm(lab, host, name)
        vms[name].node.ip("addr", "add", f"{address}/24", "dev", "eth0")
    with Greeter(vms["two"].node, PORT, "two"):
        lab.expect(10, "the guests of both hosts are in one LAN",
                   lambda: reach(vms["one"].node, "192.168.1.78", PORT) == "two 192.168.1.77")
