"""N57. A card that comes later: its MTU, a network on it, a guest there and a publication by it are set while it is away, refused
without "allow_pending". It comes, and everything is complete by itself: the guest's traffic leaves by it, its port is published."""
from lablib.reach import Greeter, guest, reach
from lablib.wires import answers

TOPOLOGY = "two"
GUEST, MTU = "192.168.2.77", 1600


def run(lab):
    host, mac = lab.host, lab.host.kernel("link", "show", "dev", "eth1")[0]["address"]
    lab.remove_port("eth1")
    lab.start(active="eth0")
    lab.nat_interface()
    web, _, _ = guest(lab, "web")
    operations = [{"op": "adapter.set", "adapter": mac, "mtu": MTU},
                  {"op": "network.create", "network": "lan-b", "kind": "untagged", "adapter": mac},
                  {"op": "interface.attach", "interface": "there", "vm": "v", "network": "lan-b"},
                  lab.publish("r-b", adapters=[mac]),
                  {"op": "host.set", "uplink_order": [mac, "eth0"]}]
    refused = lab.console.command(operations)
    lines = [problem["what"] for problem in refused.get("problems", [])]
    lab.check("refused, and each operation that names it says how it is asked for", refused["state"] == "refused"
              and len([x for x in lines if mac in x and "allow_pending" in x]) == 4, refused)
    lab.step("asked for, while the card is away")
    for operation in operations:
        if operation["op"] != "interface.attach":
            operation["allow_pending"] = True
    lab.console.must(operations)
    lab.check("the tap is there", next(i["tap"] for i in host.ctl("interfaces") if i["interface"] == "there"))
    lab.step("the card comes")
    lab.return_port("eth1", mac=mac)
    took = lab.expect(10, "it is a port with a lease", lambda: host.address("eth1"))
    lab.figure("lease", took * 1000)
    lab.check("with the MTU that was set", host.kernel("link", "show", "dev", "eth1")[0]["mtu"] == MTU)
    vm = lab.vm("there")
    vm.node.ip("addr", "add", f"{GUEST}/24", "dev", "eth0")
    lab.expect(10, "the guest on its network reaches the outside",
               lambda: answers(vm.node, lab.topology.uplink("b").client_address()))
    with Greeter(web.node, 80, "web"):
        lab.expect(10, "the publication is reached by it",
                   lambda: reach(lab.client("b"), host.address("eth1"), 8080).startswith("web "))
        lab.check("and not by eth0", reach(lab.client("a"), host.address("eth0"), 8080, timeout_s=0.7) == "")
    routes = {r["metric"]: r["dev"] for r in host.kernel("-4", "route", "show", "default")}
    lab.check("it comes first, as set", routes[min(routes)] == host.bridge("eth1"), routes)
