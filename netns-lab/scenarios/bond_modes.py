"""N16, N17. The mode of a group of two changes with a VLAN network on it, and the switch with it: 802.3ad to active-backup to
balance-xor. After each the guest in the VLAN is reached; bridge, MAC, VLANs and address are the same; what belonged to the old
mode (the rate of LACP) is gone without an error."""
import json

from lablib import aggregates
from lablib.product import USABLE
from lablib.trial import end, push
from lablib.wires import aggregate, answers, dissolve, switch_knows_vlans, trunk

TOPOLOGY = "bond"
NEEDS = "bond vlan_filtering vlan"
TIMEOUT_S = 300
PORTS, VLAN, GUEST, OUTSIDE = ["eth0", "eth1"], 10, "172.31.0.1", "172.31.0.210"


def run(lab):
    _, far = aggregates.make(lab, "802.3ad")
    switch_knows_vlans(lab, "a")
    for socket in (far, "c-a"):
        trunk(lab, socket, VLAN)
    client = lab.client("a")
    client.ip("link", "add", "link", "eth0", "name", "eth0.10", "type", "vlan", "id", str(VLAN))
    client.ip("addr", "add", f"{OUTSIDE}/24", "dev", "eth0.10")
    client.ip("link", "set", "eth0.10", "up")
    lab.console.must([{"op": "network.create", "network": "ten", "kind": "vlan", "group": "lan", "vlan_id": VLAN},
                      {"op": "interface.attach", "interface": "tagged", "vm": "v", "network": "ten"}])
    vm = lab.vm("tagged")
    vm.node.ip("addr", "add", f"{GUEST}/24", "dev", "eth0")
    lab.expect(15, "the guest in the VLAN reaches the outside", lambda: answers(vm.node, OUTSIDE))
    before, session = picture(lab), lab.host.session()
    lab.check("LACP is fast", aggregates.bond_facts(lab).get("ad_lacp_rate") == "fast", aggregates.bond_facts(lab))
    changed(lab, vm, "active-backup", lambda: dissolve(lab, "a", PORTS))
    lab.check("nothing of LACP is left", "ad_info" not in aggregates.bond_facts(lab), aggregates.bond_facts(lab))
    lab.check("bridge, MAC, VLANs and address are the same", picture(lab) == before, [before, picture(lab)])
    lab.console.must({"op": "group.update", "group": "lan", "primary": "eth1"})
    row = aggregates.group(lab)
    lab.check("who is preferred, and when it carries again, is shown", (row["primary"], row["reselect"]) == ("eth1", "failure"), row)
    said = lab.host.uplinkctl("groups")[1]
    lab.check("at the machine too", "RESELECT" in said and "failure" in said, said)

    def aggregated():
        name = aggregate(lab, "a", PORTS, "balance-xor")
        trunk(lab, name, VLAN)

    changed(lab, vm, "balance-xor", aggregated)
    lab.check("the primary went with its mode", "primary" not in aggregates.group(lab), aggregates.group(lab))
    lab.check("the rest is the same", picture(lab) == before, [before, picture(lab)])
    lab.check("the same session", lab.host.session() == session)


def changed(lab, vm, mode, switch):
    """Host and switch, one right after the other, as two people would do it over the phone."""
    lab.step(f"{mode}, at both ends")
    id = push(lab, [{"op": "group.update", "group": "lan", "mode": mode}])
    lab.expect(15, "the host has changed", lambda: aggregates.bond_facts(lab)["mode"] == mode)
    switch()
    record = end(lab, id, 60)
    lab.check("it is kept", record["state"] == "done", record)
    lab.expect(20, "the path is up", lambda: lab.host.path_states().get("eth0") in USABLE)
    lab.expect(15, "the guest in the VLAN reaches the outside", lambda: answers(vm.node, OUTSIDE))


def picture(lab):
    """Of the group: its bond's VLANs, MAC and bridge, the tap's index, the port's address."""
    row, host = aggregates.group(lab), lab.host
    link = host.kernel("link", "show", "dev", row["bond"])[0]
    tap = next(i["tap"] for i in host.ctl("interfaces") if i["interface"] == "tagged")
    return {"mac": link["address"], "bridge": link["master"], "tap": host.kernel("link", "show", "dev", tap)[0]["ifindex"],
            "vlans": json.loads(host.node.run(["bridge", "-j", "-compressvlans", "vlan", "show", "dev", row["bond"]]))[0]["vlans"],
            "address": host.address("eth0")}
