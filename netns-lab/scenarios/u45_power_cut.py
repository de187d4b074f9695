"""U45. The power goes in a trial, in its confirm and while it is taken back, at several moments of each: the disk has what was
synced, the kernel nothing, the boot another id. The host comes up at exactly one of the two revisions, whole, in store and
kernel, as the Console is told."""
import shutil
import sqlite3
import threading

from lablib.power import Power
from lablib.trial import answer, begin, end, mtu

TOPOLOGY = "one"
TIMEOUT_S = 300
MOMENTS_MS = (0, 5, 20)          # After the word that ends the trial has been sent; later ones until each state was met.
MOMENT_MAX_MS = 3000
MET = {"confirm": {"confirming", "done"}, "abort": {"confirming", "rolled_back"}}      # On disk when the power goes.
SIZES = (2000, 3000)


def larger(lab):
    """Another MTU than the present one, and the present one."""
    now = mtu(lab, "eth0")
    return (SIZES[1] if now == SIZES[0] else SIZES[0]), now


def on_disk(lab, id):
    """The command's state in what the disk has. Pre: the daemon is dead."""
    copy = lab.dir / "looked-at"
    shutil.copytree(lab.host.state, copy)
    with sqlite3.connect(copy / "uplink.db") as store:
        found, = store.execute("SELECT state FROM journal WHERE id=?", [id]).fetchone()
    shutil.rmtree(copy)
    return found


def cut_in(lab, power, word, after_ms):
    """One trial, its end begun by `word`, the power cut so much later; its state on disk then, and that in which the Console
    sees it end."""
    wanted, before = larger(lab)
    revision = lab.host.ctl("status")["revision"]
    id = begin(lab, [{"op": "adapter.set", "adapter": "eth0", "mtu": wanted},
                     {"op": "network.create", "network": f"n{wanted}", "kind": "nat"},
                     {"op": "network.delete", "network": f"n{before}"}], confirm_within_s=60)
    lab.check("the kernel shows it", mtu(lab, "eth0") == wanted)
    if word:
        saying = threading.Thread(target=lambda: answer(lab, id, word))
        saying.start()
        lab.lasts(after_ms / 1000)
    power.cut()
    met = on_disk(lab, id)
    lab.check("the kernel knows nothing of it", mtu(lab, "eth0") == 1500 and not lab.host.kernel("link", "show", "type", "bridge"))
    if word:
        saying.join()
    lab.host.start()
    record = end(lab, id, 30)
    kept = record["state"] == "done"
    lab.check("kept where the disk has it, taken back else", record["state"] == ("done" if met == "done" else "rolled_back"),
              [met, record])
    now = lab.host.ctl("status")["revision"]
    lab.check("the store has the revision that was answered", now > revision if kept else now == revision, [now, revision, record])
    lab.expect(10, "the kernel shows it, whole", lambda: mtu(lab, "eth0") == (wanted if kept else before))
    names = {n["network"] for n in lab.host.ctl("networks")}
    lab.check("as does the model", (f"n{wanted}" in names) == kept and (f"n{before}" in names) != kept, names)
    lab.expect(10, "nothing is left to be written", lambda: lab.host.ctl("plan")["plan"] == [])
    lab.wait_paths()
    return met, record["state"]


def run(lab):
    power = Power(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "adapter.set", "adapter": "eth0", "mtu": SIZES[0]},
                      {"op": "network.create", "network": f"n{SIZES[0]}", "kind": "nat"}])
    lab.step("in the trial")
    lab.check("taken back", cut_in(lab, power, None, 0) == ("confirming", "rolled_back"))
    for word in ("confirm", "abort"):
        ended = {ms: cut_in(lab, power, word, ms) for ms in MOMENTS_MS}
        while not MET[word] <= {met for met, _ in ended.values()} and max(ended) < MOMENT_MAX_MS:
            later = 4 * max(ended)
            ended[later] = cut_in(lab, power, word, later)
        lab.step(f"in its {word}: {ended}")
        lab.check(f"cut before its {word} was on disk, and after it", MET[word] <= {met for met, _ in ended.values()}, ended)
        lab.check("an abort never keeps it", word == "confirm" or "done" not in [end for _, end in ended.values()], ended)
