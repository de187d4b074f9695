"""The daemon is killed at every point on the way of a network that is made, or deleted, as in crash_points."""
from lablib.crashpoints import CrashPoints
from lablib.runner import load

TOPOLOGY = "one"
TIMEOUT_S = 900


def run(lab):
    points = CrashPoints(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    load("crash_points").die_everywhere(lab, points, network, lambda: blue(lab))


def network(there):
    if there:
        return [{"op": "network.delete", "network": "blue"}], False
    return [{"op": "network.create", "network": "blue", "kind": "nat", "subnet": "10.50.0.0/24"}], True


def blue(lab):
    return any(link["ifname"] == "n-blue" for link in lab.host.kernel("link"))
