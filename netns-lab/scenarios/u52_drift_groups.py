"""U52, on groups and VLANs. Somebody changes the VLANs of a port, takes a member out of the bond, deletes a tap, changes an MTU,
deletes a bridge, stops the filter: repaired within 2 s, each told with what was repaired."""
import json

from lablib.wires import answers

TOPOLOGY = "bond"
NEEDS = "bond vlan_filtering vlan"
GUEST = "192.168.1.77"


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    host, bridge = lab.host, lab.host.bridge("eth0")
    lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"]},
                      {"op": "network.create", "network": "ten", "kind": "vlan", "group": "lan", "vlan_id": 10},
                      {"op": "interface.attach", "interface": "plain", "vm": "v", "network": bridge},
                      {"op": "interface.attach", "interface": "tagged", "vm": "v", "network": "ten"}])
    lab.expect(20, "the group has a path", lambda: host.path_states().get("eth0") in ("active", "standby"))
    bond = next(g["bond"] for g in host.ctl("groups") if g["group"] == "lan")
    tap = {i["interface"]: i["tap"] for i in host.ctl("interfaces")}
    vm, client = lab.vm("plain"), lab.client("a")
    vm.node.ip("addr", "add", f"{GUEST}/24", "dev", "eth0")
    lab.expect(10, "the guest is reached", lambda: answers(client, GUEST))

    def vlans(link):
        """Of a link; none while it is away."""
        rows = json.loads(host.node.run(["bridge", "-j", "vlan", "show", "dev", link], check=False) or "[]")
        return rows[0]["vlans"] if rows else []

    def link(name):
        return next((x for x in host.kernel("-d", "link") if x["ifname"] == name), {})

    def master(name, wanted):
        return lambda: link(name).get("master") == wanted

    wanted = {name: vlans(name) for name in (bond, bridge, *tap.values())}
    damages = {
        "pvid_of_tap": (f"bridge vlan add dev {tap['tagged']} vid 20 pvid untagged", tap["tagged"], None),
        "vlan_of_uplink": (f"bridge vlan del dev {bond} vid 10", bond, None),
        "foreign_vlan_on_uplink": (f"bridge vlan add dev {bond} vid 99", bond, None),
        "native_of_self": (f"bridge vlan del dev {bridge} vid 1 self", bridge, None),
        "filter": (f"ip link set {bridge} type bridge vlan_filtering 0", bridge,
                   lambda: link(bridge)["linkinfo"]["info_data"]["vlan_filtering"] == 1),
        "member": ("ip link set eth1 nomaster", "eth1", master("eth1", bond)),
        "primary_policy": (f"ip link set {bond} type bond primary_reselect always", bond,
                           lambda: link(bond)["linkinfo"]["info_data"]["primary_reselect"] == "failure"),
        "mtu_of_bond": (f"ip link set {bond} mtu 1600", bond, lambda: link(bond)["mtu"] == 1500),
        "mtu_of_tap": (f"ip link set {tap['tagged']} mtu 1400", tap["tagged"], lambda: link(tap["tagged"])["mtu"] == 1500),
        "tap": (f"ip link del {tap['tagged']}", tap["tagged"], master(tap["tagged"], bridge)),
        "bridge": (f"ip link del {bridge}", bridge, master(bond, bridge))}
    for name, (command, names, repaired) in damages.items():
        lab.step(f"damage: {name}: {command}")
        last = max(e["n"] for e in host.events())
        host.node.run(command.split())

        def whole(repaired=repaired):
            return all(vlans(each) == wanted[each] for each in wanted) and (repaired is None or repaired())

        lab.figure(name, lab.expect(2, f"{name} is repaired", whole, interval=0.05) * 1000)
        seen = []

        def told(last=last, names=names, seen=seen):
            seen[:] = [e for e in host.events() if e["n"] > last and e["kind"] == "drift.repaired"]
            return any(names in str(e["data"]) for e in seen)

        lab.expect(3, f"{name}: it is told what was repaired of {names}", told, 0.05)
        lab.say(f"    told: {seen[0]['data']}")
    lab.expect(20, "the path is up", lambda: host.path_states().get("eth0") in ("active", "standby"))
    lab.expect(10, "the guest is reached", lambda: answers(client, GUEST))
