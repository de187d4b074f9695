"""A path of 1 Mbit/s and how long commands take over it: what stream_never_blocks and telemetry_never_blocks share."""
import time

RATE = "1mbit"
COMMANDS = 60
MORE_S = 0.150
# Each command is five commits to two disks; one of a busy machine may take 100 ms, whatever the path does.
DISK_STALLS = 3
WORST_S = 0.6


def slow(lab):
    """Both directions of the uplink's router, with a queue of one second, as home routers have it."""
    router = lab.router(lab.topology.uplinks[0].name)
    for link in ("lan", "wan"):
        router.run(["tc", "qdisc", "replace", "dev", link, "root", "tbf", "rate", RATE, "burst", "3000", "latency", "1000ms"])


def round_trips(lab, first):
    """Seconds of COMMANDS successive commands, ascending."""
    times = []
    for number in range(COMMANDS):
        start = time.monotonic()
        record = lab.console.command([lab.publish(f"s-{first + number}", port=20000 + first + number)], dry_run=True, wait=20)
        lab.check("the command is done", record["state"] == "done", record)
        times.append(time.monotonic() - start)
        lab.lasts(0.05)
    return sorted(times)


def judge(lab, idle, busy):
    """Are the busy path's commands within 150 ms of the idle one's?"""
    for name, values in (("idle", idle), ("busy", busy)):
        lab.figure(f"{name}_median", values[len(values) // 2] * 1000)
        lab.figure(f"{name}_worst", values[-1] * 1000)
    lab.check("the median stays within 150 ms of the idle path's", busy[len(busy) // 2] <= idle[len(idle) // 2] + lab.limit(MORE_S))
    lab.check(f"all but {DISK_STALLS} of {COMMANDS} stay within 150 ms of the idle path's worst",
              busy[-1 - DISK_STALLS] <= idle[-1] + lab.limit(MORE_S), busy[-5:])
    lab.check("no other waits for as much as a queue of the router", busy[-1] <= idle[-1] + lab.limit(WORST_S), busy[-5:])
