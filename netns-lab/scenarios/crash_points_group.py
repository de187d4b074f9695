"""The daemon is killed at every point on the way of a group that is made, or dissolved, with a guest's VLAN on it, as in
crash_points. On demand: half an hour under emulation; in every run the same ways are gone with a fake kernel (unit
CrashPointsTest)."""
import json

from lablib.crashpoints import CrashPoints
from lablib.runner import load

TOPOLOGY = "bond"
NEEDS = "bond"
ON_DEMAND = True
TIMEOUT_S = 1200


def run(lab):
    suite, points = load("crash_points"), CrashPoints(lab)
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    suite.die_everywhere(lab, points, group, lambda: members(lab))


def group(there):
    """What makes or dissolves it, with its VLAN, and its members in the kernel then."""
    if there:
        return [{"op": "interface.detach", "interface": "web"}, {"op": "network.delete", "network": "lab"},
                {"op": "group.delete", "group": "lan"}], set()
    return [{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"]},
            {"op": "network.create", "network": "lab", "kind": "vlan", "vlan_id": 100, "group": "lan"},
            {"op": "interface.attach", "interface": "web", "vm": "vm-web", "network": "lab"}], {"eth0", "eth1", "tap"}


def members(lab):
    """Of the bond, and the guest's tap in its VLAN."""
    links = lab.host.kernel("-d", "link")
    bonds = {link["ifname"] for link in links if link.get("linkinfo", {}).get("info_kind") == "bond"}
    ports = json.loads(lab.host.node.run(["bridge", "-j", "vlan", "show"]))
    vlans = {port["ifname"] for port in ports if any(row["vlan"] == 100 for row in port["vlans"])}
    return frozenset({link["ifname"] for link in links if link.get("master") in bonds} | (
        {"tap"} if any(name.startswith("t-web") for name in vlans) else set()))
