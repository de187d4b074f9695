"""T30. Console killed (-9) after sending, or after the reply came and before it was stored: the re-sent id is answered
from the host's journal; nothing is lost, nothing runs twice."""
import random
import time
import uuid

from lablib.product import HOST_ID

TOPOLOGY = "two"
KILLS = 5


def run(lab):
    seed = int(time.time())
    lab.step(f"seed {seed}")
    chance = random.Random(seed)
    lab.start(active="eth0")
    lab.nat_interface()
    ids = {}
    for n in range(KILLS):
        for part in range(3):
            key = n * 3 + part
            ids[key] = str(uuid.uuid4())
            status, answer = lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {
                "id": ids[key], "operations": [lab.publish(f"r-{key}", port=20000 + key)]})
            lab.check("the Console took it", status == 202, [status, answer])
        lab.lasts(chance.uniform(0, 0.03))
        lab.console.kill()
        lab.console.start()
        lab.expect(20, "the host is back", lab.console.online)     # back-off has grown: no path was stable
    lab.expect(10, "every command is done", lambda: all(
        lab.console.command_state(i)["state"] == "done" for i in ids.values()), 0.1)
    lab.check("the host has exactly these rules", lab.rules() == {f"r-{key}" for key in ids}, lab.rules())
    revisions = [lab.console.command_state(i)["revision"] for i in ids.values()]
    lab.check("each ran once", len(set(revisions)) == len(revisions), revisions)
    events = [e["n"] for e in lab.console.events()]
    lab.check("events: in order, once", events == sorted(set(events)), events[-30:])
