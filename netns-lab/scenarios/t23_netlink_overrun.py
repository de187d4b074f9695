"""T23. Netlink overrun: 10,000 changes of addresses and 2,500 of a link with much to say while the daemon is kept from reading
them: it counts the overrun, re-reads the kernel, gives no path up for it, faults are still seen."""
import signal
import time

from lablib.ns import ip_batch
from lablib.rtnl import noisy_link

TOPOLOGY = "two"


def overruns(lab):
    return lab.host.ctl("status")["reconcile"]["netlink_overruns"]


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    host = lab.host.node
    much, lines = noisy_link(host), []
    for n in range(5000):
        address = f"172.20.{n % 250}.{n % 253 + 1}/32"
        lines += [f"addr add {address} dev noise", f"addr del {address} dev noise"]
    before, last = overruns(lab), lab.events_arrived()
    lab.step("12,500 changes at once")
    start = time.monotonic()
    lab.host.daemon.send_signal(signal.SIGSTOP)
    try:
        ip_batch(lines + much, host.netns)
    finally:
        lab.host.daemon.send_signal(signal.SIGCONT)
    lab.figure("stopped", (time.monotonic() - start) * 1000)
    lab.expect(10, "the kernel had more to tell than the socket holds", lambda: overruns(lab) > before)
    lab.wait_paths(5)
    lab.never(1, "a path suffers", lambda: set(lab.host.path_states().values()) - {"active", "standby", "suspect"})
    lab.events_arrived()
    downs = [e["data"] for e in lab.console.events(last) if e["kind"] == "path.down"]
    blamed = [d for d in downs if not d.get("by_peer") and d["cause"] != "local_stall"]
    lab.check("the daemon gave no path up", not blamed, blamed)
    host.ip("link", "del", "noise")
    active = lab.host.active_port()
    lab.pull(active)
    took = lab.expect(1.5, "a pull is still seen", lambda: lab.host.active_port() not in (active, None))
    lab.figure("switch", took * 1000)
    lab.plug(active)
    lab.expect(10, "and a plug", lambda: lab.host.path_states()[active] == "standby")
