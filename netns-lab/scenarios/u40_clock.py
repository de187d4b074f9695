"""U40, T57. The host starts with a clock of 1970, or two years ahead, and nobody synchronises it: it is online all the same, has its
clock set from the Console and is as strict as ever from then on. Where the clock cannot be set the Console's time stands in for it
until it is right. A Console that was never in force since the time was last known, or of another CA or name, stays out. With
clock_trust = "strict" the path says cause clock, with both times, and is back when the time arrives, without a restart."""
import shutil
import time

from lablib.false_clock import FalseClock
from lablib.pki import DAY
from lablib.product import CONSOLE_NAME

TOPOLOGY = "two"
IN_1970 = 100                       # seconds since 1970, as a clock without a battery begins
YEARS_2 = 2 * 365 * 86400


def run(lab):
    clock = FalseClock(lab)
    machine = time.time() - time.monotonic()
    pki, names = lab.pki, lab.pki.console_names(CONSOLE_NAME, lab.topology.console_addresses)
    pki.authority("other-ca")
    pki.issue("c-ended", "ca", names, server=True, start=-9 * DAY, end=-DAY / 24)
    pki.issue("c-later", "ca", names, server=True, start=400 * DAY, end=500 * DAY)
    pki.issue("c-other", "other-ca", names, server=True)
    pki.issue("c-wrong", "ca", "DNS:elsewhere.example", server=True)
    lab.console.start()
    try:
        for name, moment in (("1970", IN_1970), ("two years ahead", time.time() + YEARS_2)):
            if lab.host.state.exists():     # a new machine, then: the time was never known
                lab.host.purge()
                shutil.rmtree(lab.host.state)
                shutil.rmtree(lab.host.runtime)
            set_from_the_console(lab, clock, f"{name}, a new machine", moment)
            set_from_the_console(lab, clock, f"{name}, a known machine", moment)
        cannot_be_set(lab, clock)
        stays_out(lab, clock)
        strict(lab, clock)
    finally:
        drift = time.time() - time.monotonic() - machine
        lab.check("the machine's own clock was left alone", abs(drift) < 30, drift)


def clock_state(lab):
    return lab.host.ctl("status")["clock"]


def online(lab):
    """At both ends: of a bounded connection the Console knows a moment longer than the host."""
    return lab.host.active_port() and lab.console.online()


def set_from_the_console(lab, clock, name, moment):
    lab.step(f"{name}: bounded, set, strict")
    sets, log = clock.times_set(), len(lab.host.log())
    clock.says(moment)
    wrong_by = clock.error_s()
    lab.host.start()
    took = lab.expect(40, f"{name}: the host is online", lambda: online(lab))
    lab.figure(f"start_to_online.{name.replace(' ', '_').replace(',', '')}", took * 1000)
    lab.check("the clock was set once", clock.times_set() == sets + 1, clock.times_set() - sets)
    lab.check("it is right", abs(clock.error_s()) < 2, clock.error_s())
    state = clock_state(lab)
    lab.check("it is strict", state["trust"] == "strict" and state["doubt"] == "none", state)
    told = lab.host.log()[log:]
    lines = [line for line in told.splitlines() if "warning clock." in line]
    lab.check("one line of the log says bounded, one set", len(lines) == 2 and "bounded trust" in lines[0]
              and "difference of" in lines[1], lines)
    events = lab.host.events()
    last_start = max(e["n"] for e in events if e["kind"] == "daemon.started")
    events = [e for e in events if e["n"] > last_start]
    order = [e["kind"] for e in events if e["kind"] in ("clock.bounded", "clock.set", "path.up", "session.started")]
    lab.check("no path stands before the clock is set", order[:2] == ["clock.bounded", "clock.set"]
              and "clock.bounded" not in order[2:] and "path.up" in order, order)
    done = next(e["data"] for e in events if e["kind"] == "clock.set")
    lab.check("the event names the difference", abs(done["difference_s"] + wrong_by) < 5, (done, wrong_by))
    lab.expect(30, "the Console has the event", lambda: any(
        e["kind"] == "clock.set" and e["data"] == done for e in lab.console.events()))
    lab.wait_paths(30)
    text = lab.host.uplinkctl("status")[1]
    lab.check("a person is told", "clock" in text and "strict" in text and "set to" in text, text)
    lab.host.stop()
    lab.expect(10, "the host is offline", lambda: not lab.console.online())


def cannot_be_set(lab, clock):
    lab.step("two years ahead, and the clock cannot be set: the Console's time stands in")
    clock.refuses()
    clock.says(time.time() + YEARS_2)
    lab.host.start()
    lab.expect(40, "the host is online", lambda: online(lab))
    lab.wait_paths(30)
    lab.check("it was tried once", clock.times_refused() == 1, clock.times_refused())
    status = lab.host.ctl("status")
    lab.check("status says what stands in and why", status["clock"]["trust"] == "console"
              and any("could not be set" in p for p in status["problems"]), status)
    lab.check("the clock is as wrong as before", abs(clock.error_s() - YEARS_2) < 2, clock.error_s())
    lab.check("the daemon's time is right", status["clock"]["time"].startswith(time.strftime("%Y-", time.gmtime())),
              status["clock"])
    deadline = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    lab.console.must([{"op": "network.create", "network": "lan", "kind": "isolated", "subnet": "10.98.0.0/24"}], deadline=deadline)
    lab.step("a command with a deadline is done: that is judged by the Console's time, too")
    pid, session = lab.host.daemon.pid, lab.host.session()
    lab.step("the time arrives")
    clock.is_right()
    clock.synchronised()
    lab.expect(10, "nothing stands in any more", lambda: clock_state(lab)["trust"] == "strict")
    lab.check("same process, same session", pid == lab.host.daemon.pid and session == lab.host.session())
    lab.host.stop()
    clock.refuses(False)
    clock.synchronised(False)


def refused(lab, text, steps, words):
    lab.expect(30, f"{text}: the path says so", lambda: (
        lab.host.path("eth0").get("broken_step") in steps
        and all(w in lab.host.path("eth0")["cause"] for w in words)))
    lab.step(f"{text}: {lab.host.path('eth0')['cause']}")
    lab.never(1, f"{text}: a session", lambda: lab.console.online() or lab.host.active_port())
    lab.check(f"{text}: the port is left alone", lab.host.port("eth0")["state"] == "leased")


def stays_out(lab, clock):
    sets = clock.times_set()
    for certificate, steps, words in (("c-ended", ["clock"], ["1970-", "c-ended"]), ("c-later", ["clock"], ["1970-", "c-later"]),
                                      ("c-other", ["tls"], ["not signed by our CA"]),
                                      ("c-wrong", ["tls"], ["elsewhere.example"])):
        lab.console.stop()
        lab.console.certificate = certificate
        lab.console.start()
        clock.says(IN_1970)
        lab.host.start()
        refused(lab, f"1970 and {certificate}", steps, words)
        lab.check("still bounded, nothing was set", clock_state(lab)["trust"] == "bounded" and clock.times_set() == sets)
        lab.host.stop()
    lab.console.stop()
    lab.console.certificate = "console"
    lab.console.start()


def strict(lab, clock):
    sets = clock.times_set()
    lab.host.settings["tunnel"]["clock_trust"] = "strict"
    for moment, steps, word in ((IN_1970, ["clock"], "1970-"), (time.time() + YEARS_2, ["tls"], "expired")):
        clock.says(moment)
        lab.host.start()
        now = time.strftime("%Y-", time.gmtime())
        refused(lab, "strict", steps, [word, now])
        doctor = lab.host.uplinkctl("doctor", check=False)[1]
        lab.check("the doctor names both times and what to do", word in doctor and now in doctor and "do:" in doctor, doctor)
        pid = lab.host.daemon.pid
        lab.lasts(5)                    # the back-off grows
        lab.step("the time arrives")
        clock.is_right()
        took = lab.expect(10, "the host is online", lambda: online(lab))
        lab.figure("time_to_online", took * 1000)
        lab.check("without a restart, set by nobody of ours",
                  pid == lab.host.daemon.pid and clock.times_set() == sets)
        lab.host.stop()
        lab.expect(10, "the host is offline", lambda: not lab.console.online())
