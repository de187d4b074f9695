"""U45 U47 T37 T39 T40. The life of a trial: kept after a fresh WELCOME and the Console's confirmation, which has 120 s unless
the command says otherwise; a tunnel that fails over meanwhile does not void it; a Console that goes away takes nothing back; a
daemon that is killed in it comes back at the revision from before, and so does one that nobody confirmed; one that is stopped
goes back before it ends."""
import json
import sqlite3
import time

from lablib.product import USABLE
from lablib.trial import answer, begin, mtu, push, state

TOPOLOGY = "two"
DEFAULT_S = 120         # of confirm_within_s


def larger(value):
    return [{"op": "adapter.set", "adapter": "eth0", "mtu": value}]


def deadline(lab, id):
    """Of a trial that is under way, as the journal has it: monotonic, in seconds."""
    with sqlite3.connect(f"file:{lab.host.state}/uplink.db?mode=ro", uri=True) as store:
        undo, = store.execute("SELECT undo FROM journal WHERE id=?", [id]).fetchone()
    return json.loads(undo)["deadline_mono_ms"] / 1000


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    revision, session = lab.host.ctl("status")["revision"], lab.host.session()

    lab.step("kept: the Console confirms what it hears of")
    start = time.monotonic()
    lab.console.must(larger(2000))
    lab.figure("trial_kept", (time.monotonic() - start) * 1000)
    lab.check("one revision more", lab.host.ctl("status")["revision"] == revision + 1)
    lab.check("the same session", lab.host.session() == session)
    lab.check("the kernel shows it", mtu(lab, "eth0") == 2000)
    lab.check("again: nothing changes", lab.console.must(larger(2000))["revision"] == revision + 1)

    lab.step("nobody says how long it may take: 120 s")
    id = begin(lab, larger(2500))
    trial = lab.host.ctl("status")["trial"]
    lab.check("the status says so", DEFAULT_S - 15 < trial["seconds_left"] <= DEFAULT_S, trial)
    began = [e["data"] for e in lab.host.events() if e["kind"] == "trial.began" and e["data"]["command"] == id]
    lab.check("the event says so", [data["confirm_within_s"] for data in began] == [DEFAULT_S], began)
    lab.check("the journal has the moment", DEFAULT_S - 15 < deadline(lab, id) - time.monotonic() <= DEFAULT_S, deadline(lab, id))
    lab.check("the Console ends it", answer(lab, id, "abort") == 202)
    lab.expect(10, "it is taken back", lambda: state(lab, id) == "rolled_back")
    lab.wait_paths()

    lab.step("T40: confirmed by hand, after the tunnel failed over in between")
    id = begin(lab, larger(3000), confirm_within_s=60)
    lab.expect(10, "its path is welcomed anew", lambda: lab.host.path_states()["eth0"] in USABLE)
    active = lab.host.active_port()
    lab.cut(active)
    lab.expect(5, "the tunnel fails over", lambda: lab.host.active_port() not in (active, None))
    lab.check("the same session, the same trial", lab.host.session() == session
              and lab.host.ctl("status")["trial"]["command"] == id, [lab.host.session(), session, lab.host.ctl("status")])
    lab.heal(active)
    lab.expect(40, "both are up again", lambda: all(s in USABLE for s in lab.host.path_states().values()))
    lab.check("the confirm is taken", answer(lab, id, "confirm") == 202)
    lab.expect(10, "it is kept", lambda: state(lab, id) == "done")
    lab.check("still the same session", lab.host.session() == session, [lab.host.session(), session])

    lab.step("T37: nobody confirms, and the tunnel fails over meanwhile")
    active = lab.host.active_port()
    id = begin(lab, larger(4000), confirm_within_s=5)
    lab.cut(active)
    lab.expect(15, "it is taken back", lambda: state(lab, id) == "rolled_back")
    lab.heal(active)
    lab.wait_paths()
    lab.check("the kernel shows the one before", mtu(lab, "eth0") == 3000)
    lab.check("a late confirm is refused", answer(lab, id, "confirm") == 409)

    lab.step("U45: killed in the trial")
    id = begin(lab, larger(5000), confirm_within_s=60)
    lab.check("the kernel shows it", mtu(lab, "eth0") == 5000)
    lab.host.kill()
    lab.host.start()
    lab.expect(10, "it is taken back", lambda: state(lab, id) == "rolled_back")
    lab.check("the kernel shows the one before", mtu(lab, "eth0") == 3000)
    lab.wait_paths()

    lab.step("stopped in the trial: taken back before the daemon goes")
    id = begin(lab, larger(5000), confirm_within_s=60)
    lab.check("the kernel shows it", mtu(lab, "eth0") == 5000)
    lab.host.stop()
    lab.check("without a daemon the kernel shows the one before", mtu(lab, "eth0") == 3000, mtu(lab, "eth0"))
    lab.host.start()
    lab.expect(10, "the Console hears of it", lambda: state(lab, id) == "rolled_back")
    lab.check("and why", "stopped" in json.dumps(lab.console.command_state(id)), lab.console.command_state(id))
    lab.wait_paths()

    lab.step("U47: the Console goes away in the trial")
    id = begin(lab, larger(6000), confirm_within_s=10)
    lab.expect(10, "its path is welcomed anew", lambda: lab.host.path_states()["eth0"] in USABLE)
    lab.console.kill()
    lab.expect(8, "the host sees that it is the Console", lambda: lab.host.ctl("status")["trial"]["console_away"])
    lab.lasts(14)
    lab.check("nothing was taken back", mtu(lab, "eth0") == 6000 and lab.host.ctl("status").get("trial"))
    lab.console.start()
    lab.expect(40, "the paths are back", lambda: all(s in USABLE for s in lab.host.path_states().values()))
    lab.expect(10, "the Console knows that it waits", lambda: state(lab, id) == "confirming")
    lab.check("the confirm is taken", answer(lab, id, "confirm") == 202)
    lab.expect(10, "it is kept", lambda: state(lab, id) == "done")
    lab.check("as the kernel shows", mtu(lab, "eth0") == 6000)

    lab.step("U47: the Console goes away between \"stored\" and the begin of the trial")
    before = begin(lab, larger(6500), confirm_within_s=600)
    lab.expect(10, "its path is welcomed anew", lambda: lab.host.path_states()["eth0"] in USABLE)
    id = push(lab, larger(7000), confirm="manual", confirm_within_s=10)
    lab.expect(5, "it waits behind the first", lambda: state(lab, id) == "stored")
    lab.console.kill()
    lab.expect(15, "the host sees that it is the Console", lambda: lab.host.ctl("status")["trial"]["console_away"])
    lab.host.uplinkctl("rollback")
    lab.expect(45, "the second is tried out", lambda: lab.host.ctl("status").get("trial", {}).get("command") == id)
    lab.expect(10, "the host sees that it is the Console", lambda: lab.host.ctl("status")["trial"]["console_away"])
    lab.lasts(14)
    lab.check("nothing was taken back", mtu(lab, "eth0") == 7000 and lab.host.ctl("status").get("trial"))
    lab.console.start()
    lab.expect(40, "the paths are back", lambda: all(s in USABLE for s in lab.host.path_states().values()))
    lab.check("the first was ended", state(lab, before) == "rolled_back")
    lab.expect(10, "the Console knows that the second waits", lambda: state(lab, id) == "confirming")
    lab.check("the confirm is taken", answer(lab, id, "confirm") == 202)
    lab.expect(10, "it is kept", lambda: state(lab, id) == "done")
    lab.check("as the kernel shows", mtu(lab, "eth0") == 7000)
