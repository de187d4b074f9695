"""The daemon is killed at every point on the way of a guest's interface with two publications that come together, and go
together, as in crash_points."""
from lablib.crashpoints import CrashPoints
from lablib.runner import load

TOPOLOGY = "one"
TIMEOUT_S = 1800


def run(lab):
    points = CrashPoints(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    load("crash_points").die_everywhere(lab, points, lambda there: guest(lab, there), lambda: shown(lab))


def guest(lab, there):
    """What brings or takes it, and what the kernel shows then."""
    if there[0]:
        return [{"op": "gateway.withdraw", "rule": rule} for rule in ("r-tcp", "r-udp")] + [
            {"op": "interface.detach", "interface": "web"}], (False, False, False)
    return [{"op": "interface.attach", "interface": "web", "vm": "vm-web", "network": "default"},
            lab.publish("r-tcp", port=8080), lab.publish("r-udp", port=5353, protocol="udp")], (True, True, True)


def shown(lab):
    """Is there a tap, and are the ports published?"""
    rules = lab.host.node.run(["nft", "list", "table", "inet", "uplink"])
    tap = any(link["ifname"].startswith("t-web") for link in lab.host.kernel("link"))
    return tap, " . tcp . 8080 : " in rules, " . udp . 5353 : " in rules
