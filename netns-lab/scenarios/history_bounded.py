"""The history of the model is bounded: the newest 200 revisions, and of large models as many as fit into 64 MiB; the Console's
own copy, for a host that is away, is the newest 16. What is held can still be gone back to; what fell out is named as gone."""
from lablib.product import HOST_ID
from lablib.trial import push, state

TOPOLOGY = "one"
ON_DEMAND = True                # minutes: each revision of 2 MB is checked, written and told
KEPT, KEPT_BYTES, SNAPSHOT = 200, 64 << 20, 16
SHOWN = 50                      # by uplinkctl history
LARGE_NETWORKS, RESERVATIONS = 4, 4000      # 2 MB of model, without a link or rule for each


def publications(lab, numbers):
    """A revision each; they wait together and share the kernel's turns."""
    ids = [push(lab, lab.publish(f"r-{n}", port=20000 + n)) for n in numbers]
    lab.expect(300, f"{len(ids)} more revisions", lambda: state(lab, ids[-1]) == "done")


def large_network(number):
    prefix = f"10.{100 + number}"
    reservations = [{"mac": f"02:aa:{number:02x}:00:{n >> 8:02x}:{n & 255:02x}", "address": f"{prefix}.{n >> 8}.{n & 255}",
                     "name": f"guest-{number}-{n:05d}-".ljust(63, "x")} for n in range(10, 10 + RESERVATIONS)]
    return {"op": "network.create", "network": f"large-{number}", "kind": "isolated", "subnet": f"{prefix}.0.0/16",
            "dhcp": {"from": f"{prefix}.200.1", "to": f"{prefix}.200.200", "reservations": reservations}}


def held(lab):
    """The revisions that the host keeps, as it tells the Console."""
    status, answer = lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions")
    lab.check("the host answers itself", status == 200 and answer["live"], [status, str(answer)[:200]])
    return answer["revisions"]


def store_bytes(lab):
    """All that the store has on disk, the place that it holds back for a full one too."""
    return sum(f.stat().st_blocks * 512 for f in lab.host.state.glob("uplink.db*"))


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()

    lab.step("by number")
    publications(lab, range(KEPT + 20))
    newest = lab.host.ctl("status")["revision"]
    rows = held(lab)
    lab.check("the newest 200, without a hole", [r["revision"] for r in rows] == list(range(newest, newest - KEPT, -1)),
              [newest, len(rows), rows[0], rows[-1]])
    shown = [r["revision"] for r in lab.host.ctl("history")["revisions"]]
    lab.check("the same at the machine, the newest of them", shown == [r["revision"] for r in rows[:SHOWN]], shown)
    oldest = rows[-1]["revision"]
    get = lambda n: lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions/{n}")[0]
    lab.check("the oldest of them can be had, the one before is gone", [get(oldest), get(oldest - 1)] == [200, 404])
    status, out, err = lab.host.uplinkctl("rollback", str(oldest - 1), check=False)
    lab.check("nor gone back to", status == 1 and f"there is no revision {oldest - 1}" in out + err, [status, out, err])

    lab.step("by bytes")
    for number in range(LARGE_NETWORKS):
        lab.console.must(large_network(number), wait=30)
    publications(lab, range(1000, 1000 + KEPT_BYTES // held(lab)[0]["bytes"] + 10))
    rows = held(lab)
    total = sum(r["bytes"] for r in rows)
    lab.figure("kept_of_large", len(rows), "")
    lab.check("as many as fit, the newest", total <= KEPT_BYTES < total + rows[0]["bytes"] * 2 and len(rows) < KEPT
              and rows[0]["revision"] == lab.host.ctl("status")["revision"], [total, len(rows)])
    lab.figure("store_on_disk", store_bytes(lab) >> 20, "MiB")
    lab.check("so is the store", store_bytes(lab) <= 2 * KEPT_BYTES, store_bytes(lab))

    lab.step("the Console's own copy, once the host is away")
    lab.expect(15, "the newest snapshot has come", lambda: lab.console.host()["revision"] == rows[0]["revision"])
    lab.host.stop()
    lab.expect(15, "it is away", lambda: not lab.console.online())
    status, answer = lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions")
    lab.check("the newest 16", status == 200 and not answer["live"] and answer["as_of"]
              and answer["revisions"] == rows[:SNAPSHOT], str(answer)[:400])
