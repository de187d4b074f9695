"""T8. All out for long, many events: memory does not grow with them, 20,000 are kept, those that had to go leave a marker, and
on return the Console has the marker and every one that was kept, once and in order.

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
            (now, "port.carrier", json.dumps({"port": "eth0", "carrier": bool(n % 2)})) for n in range(KEPT - FREE - held)))


def made(lab):
    """Number of the newest event at the host."""
    return lab.host.ctl("events", limit=1)[-1]["n"]


def run(lab):
    lab.host.environment["ASAN_OPTIONS"] += ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
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
    markers = [e for e in got if e["kind"] == "events.dropped"]
    lab.check("one marker stands for those that had to go", len(markers) == 1, [e["n"] for e in markers])
    gap, at = markers[0]["data"], got.index(markers[0])
    lab.check("it names them: from the first that the Console had not, to its own number",
              known < gap["from"] <= gap["to"] == markers[0]["n"] and gap["count"] == gap["to"] - gap["from"] + 1, gap)
    lab.check("before it everything that the Console had", [e["n"] for e in got[:at]] == list(range(1, gap["from"])), got[:at][-3:])
    lab.check("after it every event, once and in order",
              [e["n"] for e in got[at:]] == list(range(gap["to"], last + 1)), [got[at]["n"], got[-1]["n"], len(got) - at])
    newest = {(e["n"], e["kind"]) for e in lab.host.events() if e["n"] <= last}
    lab.check("and the same as at the host", newest <= {(e["n"], e["kind"]) for e in got}, len(newest))
    lab.check("no more are kept than that", len(got) - at <= KEPT, len(got) - at)
    lab.figure("events_delivered", len(got) - at, "")
    lab.figure("events_dropped", gap["count"], "")
    lab.figure("rss_growth_delivered", delivered["rss_kib"] - usage["rss_kib"], "KiB")
    lab.check("nor with what is delivered", delivered["rss_kib"] - usage["rss_kib"] <= DELIVERY_KIB, [usage, delivered])
    lab.check("no descriptor leaked", delivered["fds"] <= usage["fds"] + 4, [usage, delivered])
