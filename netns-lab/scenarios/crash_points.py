"""The daemon is killed at each netlink request and each write, sync, rename and unlink of its files on the way of a
command, one after the other, all of them (strace injects the signal); after each it is started again, and kernel, store
and Console agree on one of the two revisions. On demand: some minutes."""
import os
import subprocess
import uuid

from lablib.ns import LabError
from lablib.product import HOST_ID

TOPOLOGY = "one"
ON_DEMAND = True
TIMEOUT_S = 3600
CALLS = ("sendmsg", "sendto", "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "rename", "unlink")
FINAL = ("done", "rolled_back", "refused")
MTU = (2000, 3000)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "adapter.set", "adapter": "eth0", "mtu": MTU[0]}])
    lab.console.must([{"op": "network.create", "network": "blue", "kind": "nat", "subnet": "10.50.0.0/24"}])
    for name, operation, holds in WAYS:
        ended = {}
        for call in CALLS:
            points = 0
            while True:
                state = struck(lab, call, points + 1, operation(lab), holds)
                if state is None:
                    break
                points += 1
                ended[state] = ended.get(state, 0) + 1
            lab.figure(f"{name}_{call}", points, unit="points")
        lab.step(f"{name}: {ended}")
        lab.check("some were cut off", sum(ended.values()) > 0)


def trial(lab):
    """Another MTU than the present one, and how the kernel shows it."""
    wanted = MTU[1] if mtu(lab) == MTU[0] else MTU[0]
    return [{"op": "adapter.set", "adapter": "eth0", "mtu": wanted}], wanted, mtu(lab)


def network(lab):
    there = blue(lab)
    operation = {"op": "network.delete", "network": "blue"} if there else {
        "op": "network.create", "network": "blue", "kind": "nat", "subnet": "10.50.0.0/24"}
    return [operation], not there, there


def mtu(lab):
    return lab.host.kernel("link", "show", "dev", "eth0")[0]["mtu"]


def blue(lab):
    return any(link["ifname"] == "n-blue" for link in lab.host.kernel("link"))


WAYS = (("trial", trial, mtu), ("network", network, blue))


def struck(lab, call, number, wish, seen):
    """One life that ends at the number-th call of its kind in one thread; the command's end, None: it was not reached."""
    operations, wanted, before = wish
    revision = lab.host.ctl("status")["revision"]
    pid = lab.host.daemon.pid
    tracer = lab.host.node.spawn(
        ["strace", "-qq", *[f"--attach={task}" for task in tasks(pid)], "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}",
         "-o", lab.host.node.dir / "strace.log"], log="strace.err")
    lab.expect(5, "strace holds every thread", lambda: all(
        int(field(f"/proc/{pid}/task/{task}/status", "TracerPid")) != 0 for task in tasks(pid)))
    id = str(uuid.uuid4())
    lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {"id": id, "operations": operations})
    lab.expect(30, "it is dead, or through", lambda: not lab.host.running() or lab.console.command_state(id)["state"] in FINAL)
    tracer.kill()              # The kernel lets its tracees go.
    try:
        tracer.wait(timeout=10)
    except subprocess.TimeoutExpired:
        raise LabError("strace does not end") from None
    reached = not alive(lab)
    if reached:
        lab.host.daemon.wait()
        lab.host.start()
    lab.expect(30, "the Console has its end", lambda: lab.console.command_state(id)["state"] in FINAL)
    state = lab.console.command_state(id)["state"]
    whole = wanted if state == "done" else before
    lab.expect(10, f"{call} {number}: the kernel shows what was answered ({state})", lambda: seen(lab) == whole)
    lab.expect(5, f"{call} {number}: the store has the revision that was answered ({state})",
               lambda: lab.host.ctl("status")["revision"] == revision + (state == "done"))
    lab.expect(10, "nothing is left to be written", lambda: lab.host.ctl("plan")["plan"] == [])
    lab.wait_paths()
    return state if reached else None


def alive(lab):
    """Whether the daemon answers, now that nobody strikes any more."""
    try:
        return bool(lab.host.running() and lab.host.ctl("status"))
    except OSError:
        return False


def tasks(pid):
    return os.listdir(f"/proc/{pid}/task")


def field(path, name):
    with open(path) as file:
        return next(line.split(":", 1)[1] for line in file if line.startswith(name + ":"))
