"""The daemon is killed at every point of the way back, as in crash_points: of a trial that the Console ends, and of the start
after it was killed in a trial. On demand: minutes; in every run the same ways are gone with a fake kernel (unit CrashPointsTest)."""
from lablib.crashpoints import CrashPoints
from lablib.ns import LabError
from lablib.runner import load
from lablib.trial import answer, begin, mtu

TOPOLOGY = "one"
ON_DEMAND = True
TIMEOUT_S = 1800


def run(lab):
    suite = load("crash_points")
    points = CrashPoints(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "adapter.set", "adapter": "eth0", "mtu": suite.MTU[0]}])
    for way in (ended, undone):
        lab.step(way.__doc__)
        ends = suite.die_everywhere(lab, points, suite.trial, lambda: mtu(lab, "eth0"), way, "rolled_back", alike=True)
        lab.check("never kept", set(ends) == {"rolled_back"}, ends)


def ended(lab, points, number, operations):
    """ended by the Console"""
    id = begin(lab, operations, confirm_within_s=120)
    points.arm(number)
    answer(lab, id, "abort")
    return id


def undone(lab, points, number, operations):
    """killed, and again at its next start"""
    id = begin(lab, operations, confirm_within_s=120)
    lab.host.kill()
    points.arm(number)
    try:
        lab.host.start()
    except LabError:
        lab.check("it died of the point", points.struck())
    return id
