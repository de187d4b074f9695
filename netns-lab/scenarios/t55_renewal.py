"""T55. The host's certificate is renewed under a running tunnel: no command is lost, the session goes on. The renewal is
cut off at each step, by the network and by the Console's death; the daemon is killed at each call with which it changes
the folder of its identities (strace injects the signal), while it asks and while it proves. After each there is an
identity that the Console takes. Damaged slots are done without; files that an operator puts there win."""
import json
import os
import signal

from lablib.ns import LabError
from lablib.pki import DAY, host_names
from lablib.product import HOST_ID
from lablib.traffic import CommandStream

TOPOLOGY = "two"
TIMEOUT_S = 1500
RENEW = f"/api/v1/hosts/{HOST_ID}/renew"
CALLS = ("mkdir", "unlink", "openat", "write", "fsync", "rename")
PORTS = ("eth0", "eth1")


def run(lab):
    lab.pki.issue("h-due", "ca", host_names(HOST_ID), start=-80 * DAY, end=10 * DAY)
    use(lab, "h-due")
    lab.start(active="eth0")
    lab.wait_paths()

    lab.step("a Console without a signer: nothing is renewed, and it says so")
    exit_status, _, error = lab.host.uplinkctl("renew", check=False)
    lab.check("uplinkctl says why", exit_status == 1 and "signs no certificates" in error, error)
    lab.check("so does the API", lab.console.request("POST", RENEW)[0] == 409)
    lab.check("it shows that of the file", shown(lab)["source"] == "uplink.toml", shown(lab))

    lab.step("due: renewed as soon as there is a signer")
    lab.console.stop()
    lab.console.signer = "ca"
    lab.console.start()
    lab.expect(30, "the host has another certificate", lambda: shown(lab)["source"] == "slot a")
    lab.expect(10, "the Console sees it", lambda: agreed(lab))
    told = lab.expect_event(0, "identity.renewed")
    lab.check("the event names it", told["serial"] == shown(lab)["serial"], told)
    lab.check("it is on the Console's record", serials(lab) == [told["serial"]], serials(lab))
    lab.check("uplinkctl status shows it", "slot a" in lab.host.uplinkctl("status", check=False)[1])
    lab.wait_paths()

    lab.step("renewed while commands flow")
    lab.nat_interface()
    session, after = lab.host.session(), lab.events_arrived()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        for _ in range(4):
            count = len(stream.replied())
            renew(lab)
            lab.expect(10, "commands flow", lambda: len(stream.replied()) > count + 3)
    lab.figure("commands", lab.check_exactly_once(stream), "")
    lab.check("the session is the same", lab.host.session() == session)
    lab.check("and never without a path", not [e for e in lab.host.events() if e["n"] > after and e["kind"] == "session.detached"])
    lab.wait_paths()

    cut_while_asking(lab)
    cut_while_proving(lab)
    killed_at_each_call(lab)
    next_console(lab)
    killed_while(lab, "asking")
    killed_while(lab, "proving")
    damaged(lab)

    lab.step("another file of the operator's wins over the slots")
    lab.pki.issue("h-new", "ca", host_names(HOST_ID), end=300 * DAY)
    lab.host.stop()
    use(lab, "h-new")
    lab.console.stop()
    lab.console.signer = None
    lab.console.start()
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
    lab.check("with that of the file", shown(lab)["source"] == "uplink.toml", shown(lab))
    lab.wait_paths()


def use(lab, name):
    lab.host.settings["console"] |= {"certificate": str(lab.pki.pem(name)), "key": str(lab.pki.key(name))}


def shown(lab):
    return lab.host.ctl("status")["identity"]


def agreed(lab):
    """The Console sees the certificate that the host shows; while no path is up it sees none."""
    return (lab.console.host()["certificate"] or {}).get("serial") == shown(lab)["serial"]


def serials(lab):
    """Of what the Console signed, newest first."""
    return [c["serial"] for c in lab.console.get(f"/api/v1/hosts/{HOST_ID}/certificates")["certificates"]]


def renew(lab):
    """One renewal by the Console's order, to its end."""
    before = shown(lab)["serial"]
    order(lab)
    took = lab.expect(20, "it has another certificate", lambda: shown(lab)["serial"] != before and at_rest(lab))
    lab.check("that which the Console signed last", serials(lab)[0] == shown(lab)["serial"])
    return took


def order(lab):
    """The API refuses while no path is up."""
    lab.expect(10, "the Console takes the order", lambda: lab.console.request("POST", RENEW)[0] == 202)


def state(lab):
    return shown(lab)["renewal"]["state"]


def at_rest(lab):
    return state(lab) == "rest"


def usable(lab, text):
    """Online with an identity whose certificate the Console signed, or that of the file."""
    lab.expect(60, f"{text}: the host is online", lab.console.online)
    settled(lab, text)
    lab.expect(10, f"{text}: the Console sees what the host shows", lambda: agreed(lab))


def settled(lab, text):
    """No renewal is under way and none will begin by itself: a Console that ends before it has stored what came of its
    order says the order again, and that renewal would be the one that is struck."""
    lab.expect(30, f"{text}: the order has its answer", lambda: (lab.console.host().get("renewal") or {}).get("state") != "sent")
    lab.expect(30, f"{text}: no renewal is under way", lambda: at_rest(lab))


def ask_in_silence(lab):
    """It has asked, and hears nothing: the Console stands still."""
    lab.console.daemon.send_signal(signal.SIGSTOP)
    lab.host.ctl("renew")
    lab.check("it is asking", state(lab) == "asking", state(lab))


def refuse_connections(lab, refuse):
    """The Console takes no new connections, those that stand go on."""
    node, port = lab.console.node, lab.topology.console_port
    node.nft(f"table ip door {{ chain in {{ type filter hook input priority 0; "
             f"tcp dport {port} tcp flags & (syn | ack) == syn drop; }}; }}" if refuse else "delete table ip door")


def prove_in_vain(lab):
    """A new identity is in its slot, and every proof times out."""
    refuse_connections(lab, True)
    order(lab)
    lab.expect(10, "it is proving", lambda: state(lab) == "proving")


def cut_while_asking(lab):
    lab.step("cut while asking: it goes on when there is a way again")
    before = shown(lab)["serial"]
    ask_in_silence(lab)
    for port in PORTS:
        lab.cut(port)
    lab.console.daemon.send_signal(signal.SIGCONT)
    lab.expect(30, "no path is up", lambda: not lab.host.active_port())
    lab.check("nothing has changed", shown(lab)["serial"] == before)
    for port in PORTS:
        lab.heal(port)
    lab.expect(60, "it is renewed", lambda: shown(lab)["serial"] != before and at_rest(lab))
    usable(lab, "after the cut")
    lab.wait_paths(30)

    lab.step("the Console dies while it is asked: the next one is asked anew")
    before = shown(lab)["serial"]
    ask_in_silence(lab)
    lab.console.kill()
    lab.console.start()
    lab.expect(60, "it is renewed", lambda: shown(lab)["serial"] != before and at_rest(lab))
    usable(lab, "with the next Console")
    lab.wait_paths(30)


def cut_while_proving(lab):
    lab.step("cut while proving: the old one goes on, the new one is proved later")
    before = shown(lab)["serial"]
    prove_in_vain(lab)
    lab.never(4, "another one is shown before it is proved", lambda: shown(lab)["serial"] != before)
    lab.check("the tunnel is up all the while", lab.console.online())
    for port in PORTS:
        lab.cut(port)
    lab.expect(30, "no path is up", lambda: not lab.host.active_port())
    refuse_connections(lab, False)
    for port in PORTS:
        lab.heal(port)
    lab.expect(90, "it is proved and shown", lambda: shown(lab)["serial"] != before and at_rest(lab))
    usable(lab, "after the cut")
    lab.wait_paths(30)


def next_console(lab):
    """It signs 30 times at once, then every 2 s: one of a step's own."""
    lab.console.stop()
    lab.console.start()
    usable(lab, "with the next Console")


def killed_while(lab, step):
    lab.step(f"killed while {step}")
    (ask_in_silence if step == "asking" else prove_in_vain)(lab)
    lab.host.kill()
    if step == "asking":
        lab.console.daemon.send_signal(signal.SIGCONT)
    else:
        refuse_connections(lab, False)
    lab.host.start()
    usable(lab, f"killed while {step}")
    lab.wait_paths(30)
    renew(lab)


def killed_at_each_call(lab):
    """The folder's files are touched by renewals alone: each call on them is a point."""
    lab.step("killed at each call on the identities")
    points = 0
    for call in CALLS:
        next_console(lab)
        number = 1
        while struck(lab, call, number):
            usable(lab, f"{call} {number}")
            number += 1
        renew(lab)
        lab.figure(call, number - 1, unit="points")
        points += number - 1
    lab.figure("points", points, unit="points")
    lab.check("a renewal has them all", points >= 16, points)


def struck(lab, call, number):
    """One life that ends at the number-th call of its kind; False: the renewal was through before. Before: usable()."""
    folder = lab.host.state / "identity"
    names = [folder] + [folder / f"{name}{end}" for name in ("a.json", "b.json", "current") for end in ("", ".new")]
    before, pid = shown(lab)["serial"], lab.host.daemon.pid
    tracer = lab.host.node.spawn(
        ["strace", "-qq", *[f"--attach={task}" for task in os.listdir(f"/proc/{pid}/task")], *[f"-P{name}" for name in names],
         "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}", "-o", lab.host.node.dir / "strace.log"],
        log="strace.err")
    lab.expect(10, "strace holds every thread", lambda: all(traced(pid, task) for task in os.listdir(f"/proc/{pid}/task")))
    order(lab)
    lab.expect(30, "it is dead, or through", lambda: not lab.host.running() or ended(lab, before))
    tracer.kill()               # The kernel lets its tracees go.
    tracer.wait(timeout=10)
    if lab.host.running():
        return False
    lab.host.daemon.wait()
    lab.host.start()
    return True


def ended(lab, before):
    try:
        return shown(lab)["serial"] != before and at_rest(lab)
    except (OSError, LabError):
        return False            # It died while it was asked.


def traced(pid, task):
    with open(f"/proc/{pid}/task/{task}/status") as file:
        return int(next(line.split(":", 1)[1] for line in file if line.startswith("TracerPid:"))) != 0


def damaged(lab):
    lab.step("the slot that is shown is damaged, then both, then all of it is gone")
    next_console(lab)
    folder = lab.host.state / "identity"
    was = shown(lab)["source"]
    for harm in (lambda: (folder / f"{was[-1]}.json").write_text("{"), lambda: [(folder / f"{n}.json").write_bytes(b"\0") for n in "ab"],
                 lambda: [file.unlink() for file in folder.iterdir()]):
        lab.host.stop()
        harm()
        lab.host.start()
        usable(lab, "after the damage")
        lab.wait_paths(30)
        renew(lab)
        stored = json.loads((folder / f"{shown(lab)['source'][-1]}.json").read_text())
        lab.check("the slot is whole again", stored["certificate"].startswith("-----BEGIN CERTIFICATE"))
