"""T1. Active cable pulled, two paths: no command lost, doubled or reordered; the cause shown is carrier. Five pulls on a calm
machine: replies pause 100 ms at most, in the median, beyond what the same stream did in the second before (rule and bound of
that: lablib/pauses.py; a dry run every 20 ms, so that a sanitized build has time to spare). Release build: `lab bench gap.carrier`, 30 ms."""
import time
import uuid

from lablib.pauses import Pauses
from lablib.product import HOST_ID
from lablib.traffic import CommandStream

TOPOLOGY = "two"
EXCLUSIVE = True
TIMEOUT_S = 300
PAUSE_S = 0.1


def plug_all(lab):
    for port in lab.topology.ports:
        if not lab.host.port(port)["carrier"]:
            lab.plug(port)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    lab.step("300 commands one behind the other, nobody waits; the cable goes in the middle")
    ids = []
    for n in range(300):
        ids.append(str(uuid.uuid4()))
        status, answer = lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {
            "id": ids[-1], "operations": [lab.publish(f"o-{n}", port=30000 + n, to_port=1000)]})
        lab.check("the Console takes the command", status == 202, [status, answer])
        if n == 150:
            lab.pull("eth0")
        lab.lasts(0.002)
    records = []

    def all_done():
        records[:] = [lab.console.command_state(i) for i in ids]
        return all(r["state"] == "done" for r in records)

    lab.expect(20, "all are done", all_done, 0.2)
    revisions = [r["revision"] for r in records]
    lab.check("executed in the order sent, each once", revisions == sorted(set(revisions)), revisions)
    lab.check("the host has them all", len(lab.rules("o-")) == 300)
    path = lab.host.path("eth0")
    lab.check("the first broken step is the carrier", path["broken_step"] == "carrier", path)
    lab.expect(3, "the Console knows the cause", lambda: any(
        "carrier" in str(p.get("broken_step")) + str(p.get("cause"))
        for p in lab.console.host()["paths"] if p["port"] == "eth0"))

    lab.console.must([{"op": "gateway.withdraw", "rule": rule} for rule in sorted(lab.rules("o-"))])
    pauses = Pauses(lab, PAUSE_S)
    for _ in pauses.rest():
        plug_all(lab)
        lab.expect(20, "both paths are usable", lambda: set(lab.host.path_states().values()) == {"active", "standby"})
        with CommandStream(lab.console, lab.publishing(), connections=6, interval_s=0.02, fields={"dry_run": True}) as stream:
            lab.expect(30, "commands flow", lambda: len(stream.replied()) > 70)
            moment = time.monotonic()
            lab.pull(lab.host.active_port())
            lab.expect(10, "commands flow over the other path", lambda: sum(t > moment for t in stream.replied()) > 30)
        lab.check("all are done", set(lab.settle(stream).values()) == {"done"}, stream.states())
        pauses.add(stream, moment)
    pauses.judge()
