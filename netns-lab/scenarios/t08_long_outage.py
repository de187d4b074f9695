"""T8. All out for long, many events: memory does not grow with them, 20,000 are kept, the oldest of the frequent kinds go, each
stretch of them leaves a marker, and on return the Console has the markers and every event that was kept, once and in order:
the one rare event among the oldest too.

The store is full but for FREE events before the daemon starts into the outage; the rest it makes itself: cables that are
plugged into dead switches and pulled. Memory is read after the first of them and again after three times as many more, and
once all is delivered. (ASan keeps freed memory, up to 256 MiB: here 1 MiB, so that what grows is the daemon's.)"""
import contextlib
import json
import sqlite3
import time

from lablib.scenario import NotMet

TOPOLOGY = "two"
TIMEOUT_S = 240
KEPT = 20_000                # store/core/records.hpp, events_max
RARE = "trial.rolled_back"
FREE = 24                    # so many are made until memory is read the first time; then three times as many
GROWTH_KIB = 4096            # what malloc's arenas, a log line and the page cache of SQLite may still take
DELIVERY_KIB = 16384         # and two TLS sessions and what is on its way at a time: 4 MiB, under ASan 10


def flap(lab, count):
    """Both cables into a dead switch and out again, until the host has made so many events; the newest one's number."""
    until = made(lab) + count
    for _ in range(count):
        for port in ("eth0", "eth1"):
            lab.plug(port, into="dead")
            lab.lasts(0.1)
            lab.pull(port)
            lab.lasts(0.1)
        if made(lab) >= until:
            return made(lab)
    raise NotMet(f"{count} rounds of plugging made fewer than {count} events")


def fill(lab):
    """What weeks of an outage leave in the store: all but FREE of the events that it keeps. Pre: no daemon runs."""
    with contextlib.closing(sqlite3.connect(lab.host.state / "uplink.db")) as database, database:
        held = database.execute("SELECT count(*) FROM events").fetchone()[0]
        now = int(time.time() * 1000)
        database.executemany("INSERT INTO events(time,kind,json) VALUES(?,?,?)", (
            (now, RARE if n == 100 else "port.carrier", json.dumps({"port": "eth0", "carrier": bool(n % 2)}))
            for n in range(KEPT - FREE - held)))


def made(lab):
    """Number of the newest event at the host."""
    return lab.host.ctl("events", limit=1)[-1]["n"]


def run(lab):
    lab.host.keep_little_freed()
    lab.start(active="eth0")
    lab.wait_paths()
    known = lab.events_arrived()
    lab.pull("eth0")
    lab.pull("eth1")
    lab.expect(10, "the Console sees the host offline", lambda: not lab.console.online())
    lab.host.kill()
    fill(lab)
    lab.host.start()
    filled = made(lab)
    lab.step("plugging into dead switches")
    first, usage = flap(lab, FREE), lab.host.usage()
    last, after = flap(lab, 3 * FREE), lab.host.usage()
    lab.figure("events_first", first - filled, "")
    lab.figure("events_more", last - first, "")
    lab.figure("rss_growth", after["rss_kib"] - usage["rss_kib"], "KiB")
    lab.check("memory does not grow with them", after["rss_kib"] - usage["rss_kib"] <= GROWTH_KIB, [usage, after])
    lab.step("a cable into a switch that lives")
    lab.plug("eth1", into="b")
    lab.expect(15, "the Console sees the host online", lab.console.online)
    took = lab.expect(60, "the last event of the outage is at the Console", lambda: lab.console.get(
        f"/api/v1/hosts/hv-01/events?after={last - 1}")["events"], 0.1)
    delivered = lab.host.usage()
    lab.figure("delivered", took * 1000)
    got = [e for e in lab.console.events() if e["n"] <= last]
    due, gone, markers = 1, 0, 0
    for event in got:
        if event["kind"] == "events.dropped":
            gap = event["data"]
            lab.check("a marker names those that had to go, and none that the Console had",
                      due == gap["from"] > known and event["n"] == gap["to"] == gap["from"] + gap["count"] - 1, [due, event])
            gone, markers = gone + gap["count"], markers + 1
        else:
            lab.check("the others come once and in order", event["n"] == due, [due, event])
        due = event["n"] + 1
    lab.check("to the last one", due == last + 1, [due, last])
    lab.check("many had to go", gone > KEPT / 20, gone)      # A tenth, less what the Console had.
    lab.check("the rare one did not", sum(e["kind"] == RARE for e in got) == 1)
    newest = {(e["n"], e["kind"]) for e in lab.host.events() if e["n"] <= last}
    lab.check("and the same as at the host", newest <= {(e["n"], e["kind"]) for e in got}, len(newest))
    lab.check("no more are kept than that", len(got) - known <= KEPT, len(got) - known)
    lab.figure("events_delivered", len(got) - known, "")
    lab.figure("events_dropped", gone, "")
    lab.figure("markers", markers, "")
    lab.figure("rss_growth_delivered", delivered["rss_kib"] - usage["rss_kib"], "KiB")
    lab.check("nor with what is delivered", delivered["rss_kib"] - usage["rss_kib"] <= DELIVERY_KIB, [usage, delivered])
    lab.check("no descriptor leaked", delivered["fds"] <= usage["fds"] + 4, [usage, delivered])
