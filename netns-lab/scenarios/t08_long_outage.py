"""T8. All out for long, many events: bounded memory; on return every durable event arrives once and in order.

24 h and a million events are 12 s of cables pulled and plugged into dead switches here; the store's own tests have the
million."""
import time

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    usage, first = lab.host.usage(), lab.events_arrived()
    lab.pull("eth0")
    lab.pull("eth1")
    lab.expect(10, "the Console sees the host offline", lambda: not lab.console.online())
    lab.step("12 s of plugging into dead switches")
    end = time.monotonic() + 12
    while time.monotonic() < end:
        for port in ("eth0", "eth1"):
            lab.plug(port, into="dead")
            lab.lasts(0.15)
            lab.pull(port)
            lab.lasts(0.15)
    outage = [e["n"] for e in lab.host.events() if e["n"] > first]
    lab.check("the outage made events", len(outage) >= 10, outage)
    lab.plug("eth1", into="b")
    lab.expect(10, "the Console sees the host online", lab.console.online)
    want = [(e["n"], e["kind"]) for e in lab.host.events()]
    last = want[-1][0]
    lab.expect(10, "the last event of the outage is at the Console",
               lambda: max(e["n"] for e in lab.console.events()) >= last, 0.1)
    got = [(e["n"], e["kind"]) for e in lab.console.events() if e["n"] <= last]
    lab.check("in order, each once, none missing", [n for n, _ in got] == list(range(1, last + 1)), got[-20:])
    lab.check("and the same as at the host", not set(want) - set(got), sorted(set(want) - set(got))[:10])
    after = lab.host.usage()
    lab.figure("events", len(outage), "")
    lab.figure("rss_growth", after["rss_kib"] - usage["rss_kib"], "KiB")
    lab.check("no descriptor leaked", after["fds"] <= usage["fds"] + 4, [usage, after])
