"""T1. Active cable pulled, two paths: no command lost, doubled or reordered; the cause shown is carrier;
replies pause 100 ms at most beyond the longest pause that this machine made without a fault."""
import time
import uuid

from lablib.product import HOST_ID
from lablib.traffic import CommandStream, longest_gap

TOPOLOGY = "two"
EXCLUSIVE = True


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
    lab.step("plug A, then measure the pause of a pulled cable under a command every 5 ms")
    lab.plug("eth0")
    lab.expect(10, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
    with CommandStream(lab.console, lambda n: [lab.publish(f"g-{n}", port=40000 + n, to_port=1000)]) as stream:
        lab.expect(30, "commands flow", lambda: len(stream.replied()) > 200)
        moment = time.monotonic()
        lab.pull(lab.host.active_port())
        lab.expect(10, "commands flow over the other path", lambda: sum(t > moment for t in stream.replied()) > 50)
    lab.settle(stream)
    noise = longest_gap([t for t in stream.replied() if t < moment])[0]
    gap = stream.gap_s(moment)
    lab.figure("gap", gap * 1000)
    lab.figure("longest_without_fault", noise * 1000)
    lab.check("the pause is 100 ms at most beyond that", gap <= lab.limit(0.1) + noise, [gap, noise])
