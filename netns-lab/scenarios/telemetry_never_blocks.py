"""A path of 1 Mbit/s, a state of 55 KiB and more that changes ten times a second: a command's round trip stays within that of the
idle path + 150 ms, the Console still gets whole states, and says how many it did not get."""
import itertools
import json
import threading

from lablib.product import HOST_ID
from lablib.slow_path import judge, round_trips, slow

TOPOLOGY = "one"
EXCLUSIVE = True
TIMEOUT_S = 300
BATCH = 20
STATE_BYTES = 55_000
# 60 KiB take half a second at 1 Mbit/s.
STATES_MIN = 4


def details(lab):
    return lab.console.get(f"/api/v1/hosts/{HOST_ID}")


def state_bytes(lab):
    shown = details(lab)
    return sum(len(json.dumps(shown.get(section), separators=(",", ":"))) for section in
               ("paths", "ports", "networks", "interfaces", "gateway", "model", "revisions"))


def snapshots(lab):
    metrics = lab.console.request("GET", "/metrics")[1]
    return int(next(line.split()[1] for line in metrics.splitlines() if line.startswith("uplink_console_snapshots_total ")))


def run(lab):
    lab.start()
    lab.nat_interface()
    rules = 0
    while state_bytes(lab) < STATE_BYTES:
        lab.console.must([lab.publish(f"r-{rules + n}", port=30000 + rules + n) for n in range(BATCH)], wait=30)
        rules += BATCH
        lab.expect(5, f"the Console shows {rules} rules", lambda: len(details(lab)["gateway"]) >= rules)
    lab.step(f"{rules} rules, a state of {state_bytes(lab)} bytes")
    lab.check("nothing is left out of it", "left_out" not in details(lab), details(lab).get("left_out"))
    slow(lab)
    idle = round_trips(lab, 0)
    host, ended = lab.host.node, threading.Event()
    host.ip("link", "add", "noise", "type", "bridge")
    before = snapshots(lab)

    def change():
        for number in itertools.count():      # Foreign, but the daemon looks what became of the kernel, and tells.
            host.ip("addr", "del" if number % 2 else "add", "172.20.0.1/32", "dev", "noise")
            if ended.wait(0.1):
                return

    changing = threading.Thread(target=change)
    changing.start()
    try:
        busy = round_trips(lab, 1000)
    finally:
        ended.set()
        changing.join()
    got = snapshots(lab) - before
    lab.figure("states_received", got, "")
    lab.figure("states_skipped", details(lab).get("snapshot_gaps", 0), "")
    judge(lab, idle, busy)
    lab.check("whole states keep coming", got >= STATES_MIN, got)
    lab.check("the Console says what it did not get", details(lab).get("snapshot_gaps", 0) > 0)
    lab.console.must([lab.publish("r-last", port=31999)], wait=30)
    lab.expect(15, "the newest state arrives", lambda: "r-last" in json.dumps(details(lab)["gateway"]))
