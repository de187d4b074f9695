"""The daemon is killed at every point on the way of a trial, one after the other: before each request that changes the kernel,
each write, sync and deletion of its files, each word to the Console. After each it is started again, and kernel, store and
Console agree on one of the two revisions, whole."""
from lablib.crashpoints import CrashPoints
from lablib.trial import FINAL, mtu, push, state

TOPOLOGY = "one"
TIMEOUT_S = 600
MTU = (2000, 3000)


def run(lab):
    points = CrashPoints(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "adapter.set", "adapter": "eth0", "mtu": MTU[0]}])
    ended = die_everywhere(lab, points, trial, lambda: mtu(lab, "eth0"), alike=True)
    lab.check("some were kept, some were taken back", {"done", "rolled_back"} <= set(ended), ended)


def trial(seen):
    """Another MTU than the present one, and how the kernel shows it."""
    wanted = MTU[1] if seen == MTU[0] else MTU[0]
    return [{"op": "adapter.set", "adapter": "eth0", "mtu": wanted}], wanted


def sent(lab, points, number, operations):
    """The way of a command from its sending on; its id."""
    points.arm(number)
    return push(lab, operations)


def die_everywhere(lab, points, make, seen, way=sent, expected="done", alike=False):
    """One life for each point of the way there and of the way back, each until one is not struck; how often each end came.
    make: of what is seen (hashable), operations and what will be seen. way: arms the points and goes. alike: there and back
    have the same points."""
    ended, kinds, numbers, through = {}, {}, {}, set()
    while len(through) < (1 if alike else 2):
        before = None if alike else seen()
        numbers[before] = numbers.get(before, 0) + 1
        end = struck(lab, points, numbers[before], make, seen, way)
        if not points.struck():
            lab.check("a life that nobody ends comes to its end", end == expected, end)
            through.add(before)
            continue
        ended[end] = ended.get(end, 0) + 1
        kind = points.name().split()[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    for kind, count in kinds.items():
        lab.figure(kind if way is sent else f"{way.__name__}_{kind}", count, unit="points")
    lab.step(f"{sum(kinds.values())} points: {ended}")
    lab.check("lives were cut off", sum(kinds.values()) > 20, ended)
    # The way back says one thing, at its very end: the life before may be through by then.
    lab.check("kernel, files and Console had points",
              {"netlink", "pwrite", "sync"} | ({"tell"} if way is sent else set()) <= set(kinds), kinds)
    return ended


def struck(lab, points, number, make, seen, way):
    """One life that ends before the number-th point; the command's end."""
    revision, before = lab.host.ctl("status")["revision"], seen()
    operations, wanted = make(before)
    id = way(lab, points, number, operations)
    lab.expect(30, "it is dead, or through", lambda: points.struck() or state(lab, id) in FINAL, 0.01)
    points.disarm()
    where = f"point {number}, {points.name()}"
    if points.struck():
        lab.host.daemon.wait()
        lab.host.start()
    lab.expect(30, f"{where}: the Console has its end", lambda: state(lab, id) in FINAL, 0.01)
    record = lab.console.command_state(id)
    kept = record["state"] == "done"
    lab.check(f"{where}: done, or as if it had not been", kept or record["state"] in ("rolled_back", "refused"), record)
    lab.expect(10, f"{where}: the kernel shows what was answered", lambda: seen() == (wanted if kept else before))
    now = lab.host.ctl("status")["revision"]
    lab.check(f"{where}: the store has the revision that was answered", now == record["revision"] > revision if kept else now == revision,
              [revision, now, record])
    lab.expect(10, f"{where}: nothing is left to be written", lambda: lab.host.ctl("plan")["plan"] == [])
    lab.wait_paths()
    return record["state"]
