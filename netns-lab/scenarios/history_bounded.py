"""The history of the model is bounded: the newest 200 revisions; the Console's own copy, for a host that is away, is the newest
16. The oldest that is held can be had, the one before is named as gone. (The bound in bytes: unit StoreRevisions.)"""
import json

from lablib.product import HOST_ID
from lablib.trial import push, state

TOPOLOGY = "one"
ON_DEMAND = True                            # 220 commands
TIMEOUT_S = 400
KEPT, SNAPSHOT = 200, 16                    # by the host, by the Console
STORE_BYTES = 16 << 20                      # 4 MiB of it stand ready for a full disk


def publications(lab, count, together=44):
    """A revision each; so many of them wait together and share a turn of the kernel."""
    for first in range(0, count, together):
        ids = [push(lab, lab.publish(f"r-{n}", port=20000 + n)) for n in range(first, min(first + together, count))]
        lab.expect(60, f"{len(ids)} more revisions", lambda: state(lab, ids[-1]) == "done")


def kept(lab):
    """The revisions that the Console shows of the host, newest first, and whether the host itself said them."""
    status, answer = lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions")
    lab.check("the Console shows revisions", status == 200, status)
    return answer["revisions"], answer["live"]


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    publications(lab, KEPT + 20)
    newest = lab.host.ctl("status")["revision"]
    rows, live = kept(lab)
    lab.check("the newest 200, without a hole",
              live and [r["revision"] for r in rows] == list(range(newest, newest - KEPT, -1)), [newest, len(rows), rows[-1]])
    shown = [r["revision"] for r in lab.host.ctl("history")["revisions"]]
    lab.check("at the machine the same", shown == [r["revision"] for r in rows], shown)
    few = json.loads(lab.host.uplinkctl("--json", "history", "--limit", "3")[1])
    lab.check("or the newest of them", [r["revision"] for r in few["revisions"]] == shown[:3], few)
    oldest = rows[-1]["revision"]
    answers = [lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions/{n}")[0] for n in (oldest, oldest - 1)]
    lab.check("the oldest of them can be had, the one before is gone", answers == [200, 404], answers)
    status, out, err = lab.host.uplinkctl("rollback", str(oldest - 1), check=False)
    lab.check("nor gone back to", status == 1 and f"there is no revision {oldest - 1}" in out + err, [status, out, err])
    size = sum(f.stat().st_blocks * 512 for f in lab.host.state.glob("uplink.db*"))
    lab.figure("store_on_disk", size >> 20, "MiB")
    lab.check("the store is bounded", size <= STORE_BYTES, size)

    lab.step("the Console's own copy, once the host is away")
    lab.expect(15, "the newest snapshot has come", lambda: lab.console.host()["revision"] == newest)
    lab.host.stop()
    lab.expect(15, "it is away", lambda: not lab.console.online())
    copy, live = kept(lab)
    lab.check("the newest 16", not live and copy == rows[:SNAPSHOT], copy)
