"""T39 and the end of a trial at will. A person at the machine ends a trial at once with `uplinkctl rollback`, also while the
Console is away and its clock stands still; the Console ends its own. A confirm has no verb at the machine. A change that
loses one of two paths is kept where the command says so, and names what was lost."""
import time
import uuid

from lablib.product import HOST_ID, USABLE
from lablib.trial import answer, begin, mtu, push, state

TOPOLOGY = "two"
STATIC = [{"op": "host.set", "management": {"adapter": "eth1", "address": "10.77.0.5/24", "gateway": "10.77.0.1"}}]


def trial(lab, value):
    id = begin(lab, [{"op": "adapter.set", "adapter": "eth0", "mtu": value}], confirm_within_s=600)
    lab.check("the kernel shows it", mtu(lab, "eth0") == value)
    return id


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    revision, before = lab.host.ctl("status")["revision"], mtu(lab, "eth0")

    lab.step("by a person at the machine")
    id = trial(lab, 2000)
    start = time.monotonic()
    code, out, _ = lab.host.uplinkctl("rollback", check=False)
    lab.figure("ended", (time.monotonic() - start) * 1000)
    lab.check("it says what became of it", code == 0 and "rolled_back" in out and "ended by a person at the machine" in out,
              [code, out])
    lab.check("the kernel shows the one before", mtu(lab, "eth0") == before)
    lab.check("no revision was undone with it", lab.host.ctl("status")["revision"] == revision)
    lab.expect(10, "the Console hears why", lambda: state(lab, id) == "rolled_back"
               and "ended by a person" in str(lab.console.command_state(id)["problems"]))

    lab.step("by the Console")
    lab.expect(30, "both paths", lambda: all(s in USABLE for s in lab.host.path_states().values()))
    id = trial(lab, 2100)
    lab.check("a command of no trial has none to end", answer(lab, uuid.uuid4(), "abort") == 409)
    lab.check("it is taken", answer(lab, id, "abort") == 202)
    lab.expect(10, "it is taken back", lambda: state(lab, id) == "rolled_back" and mtu(lab, "eth0") == before)

    lab.step("while the Console is away")
    lab.expect(30, "both paths", lambda: all(s in USABLE for s in lab.host.path_states().values()))
    id = trial(lab, 2200)
    lab.expect(10, "its path is welcomed anew", lambda: lab.host.path_states()["eth0"] in USABLE)
    lab.console.kill()
    lab.expect(15, "the host sees that it is the Console", lambda: lab.host.ctl("status")["trial"]["console_away"])
    lab.host.uplinkctl("rollback")
    lab.check("the kernel shows the one before", mtu(lab, "eth0") == before)
    lab.console.start()
    lab.expect(40, "the Console has its end", lambda: state(lab, id) == "rolled_back")

    lab.step("rollback without a trial goes back a revision")
    made = lab.console.must([{"op": "network.create", "network": "blue", "kind": "nat", "subnet": "10.50.0.0/24"}])["revision"]
    lab.host.uplinkctl("rollback")
    lab.check("the network is gone", "blue" not in [n["network"] for n in lab.host.ctl("networks")])
    lab.step("the revisions, at the machine and at the Console, and back to one of them by its number")
    numbers = [r["revision"] for r in lab.host.ctl("history")["revisions"]]
    lab.check("the newest first, that with the network behind it", numbers[1] == made and numbers == sorted(numbers)[::-1], numbers)
    lab.check("shown to a person", str(made) in lab.host.uplinkctl("history")[1])
    status, kept = lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions")
    lab.check("the Console shows the same", status == 200 and [r["revision"] for r in kept["revisions"]] == numbers, [kept, numbers])
    lab.host.uplinkctl("rollback", made)
    lab.check("the network is back", "blue" in [n["network"] for n in lab.host.ctl("networks")])

    lab.step("T39: a change that loses one of two paths, and the command allows it")
    lab.expect(40, "both paths", lambda: all(s in USABLE for s in lab.host.path_states().values()))
    id = push(lab, STATIC, confirm_within_s=10, accept_regression=True)
    lab.expect(30, "it is kept", lambda: state(lab, id) == "done")
    record = lab.console.command_state(id)
    lab.check("what was lost is named", "lost by consent: path eth1/" in str(record["warnings"]), record)
    lab.check("as the kernel shows", lab.host.path_states()["eth0"] in USABLE and "10.77.0.5" in lab.host.kernel_addresses("eth1"))
