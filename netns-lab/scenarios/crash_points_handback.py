"""The daemon is killed at every point of its first start on a machine that an administrator has configured and works at, and
uplinkd --purge at every point of the way back. After each: the next start, and the next purge, bring it to its end; the
administrator's session lives, and what was found stands again. On demand: minutes."""
from lablib.administrator import Administrator
from lablib.crashpoints import CrashPoints
from lablib.ns import LabError
from lablib.runner import load

TOPOLOGY = "one"
ON_DEMAND = True
TIMEOUT_S = 3600


def run(lab):
    points, handback = CrashPoints(lab), load("handback")
    host, uplink = lab.host.node, lab.topology.uplinks[0]
    ours = uplink.network()[50]
    for line in ("link set eth0 up", f"addr add {ours}/{uplink.network().prefixlen} dev eth0",
                 f"route add default via {uplink.gateway} dev eth0 proto static metric 100",
                 "route add 198.51.100.0/24 dev eth0"):
        host.ip(*line.split())
    host.nft(handback.NFT)
    administrator = Administrator(lab, str(ours))

    def settled():
        lab.expect(5, "no address is tentative", lambda: "tentative" not in host.run(["ip", "addr"]))

    settled()
    lab.console.start()
    with administrator:
        lab.step("taken and given back once: a link that was up once is not as new")
        taken(lab, points, 0)
        lab.host.stop()
        given_back(lab, points, 0)
        settled()
        before = handback.picture(host)
        counts = {"start": 0, "purge": 0}
        number, way = 0, dict.fromkeys(counts, True)
        while any(way.values()):
            number += 1
            way["start"] = way["start"] and taken(lab, points, number)
            where = points.name() if way["start"] else "-"
            if not lab.host.running():
                lab.host.start()
            lab.expect(15, f"start {number}, {where}: the host is online", lab.console.online)
            lab.check("the address is on the bridge", str(ours) in lab.host.kernel_addresses("eth0"))
            administrator.alive(f"after start {number}")
            lab.host.stop()
            way["purge"] = way["purge"] and given_back(lab, points, number)
            where = points.name() if way["purge"] else "-"
            lab.host.purge()
            administrator.alive(f"after purge {number}")
            settled()
            left = handback.difference(before, handback.picture(host))
            lab.check(f"purge {number}, {where}: everything is as it was found", not left, left)
            for name, on in way.items():
                counts[name] += on
    for name, count in counts.items():
        lab.figure(name, count, "points")
        lab.check(f"{name} was cut off often", count > 10, count)


def taken(lab, points, number):
    """The first start, and its end before the number-th point (0: none); was it struck?"""
    points.arm(number)
    try:
        lab.host.start()
        lab.expect(15, "it is dead, or through", lambda: points.struck() or lab.host.ctl("plan")["plan"] == [])
    except (LabError, OSError):
        lab.check("it died of the point", points.struck())
    points.disarm()
    if points.struck():
        lab.host.daemon.wait()
    return points.struck()


def given_back(lab, points, number):
    """The same of a purge."""
    points.arm(number)
    try:
        lab.host.purge()
    except LabError:
        lab.check("it died of the point", points.struck())
    points.disarm()
    return points.struck()
