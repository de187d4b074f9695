"""T61. The daemon is upgraded while commands flow: a new program under the old one's name, stopped and started, and once
killed; then it reloads itself. Each command runs once, each event arrives once. A store written by a newer program is
refused in one line and not touched, and the network stays."""
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess

from lablib.traffic import CommandStream

TOPOLOGY = "two"


def replace(folder, original):
    """As a package manager does: the new file takes the name in one step."""
    shutil.copy2(original / "uplinkd", folder / "uplinkd.new")
    os.rename(folder / "uplinkd.new", folder / "uplinkd")


def run(lab):
    original, folder = lab.host.programs, lab.dir / "programs"
    folder.mkdir()
    for name in os.listdir(original):
        if name.startswith("uplink"):
            shutil.copy2(original / name, folder / name)
    lab.host.programs = folder
    lab.start(active="eth0")
    lab.nat_interface()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.02) as stream:
        for how in ("stop", "kill", "stop"):
            count = len(stream.replied())
            lab.expect(10, "commands flow", lambda: len(stream.replied()) > count + 10)
            lab.step(f"upgrade: {how}, start")
            replace(folder, original)
            getattr(lab.host, how)()
            lab.host.start()
            took = lab.expect(20, "the host is back", lab.console.online)
            lab.figure(f"back_after_{how}", took * 1000)
        count = len(stream.replied())
        lab.step("it reloads itself")
        lab.host.daemon.send_signal(signal.SIGHUP)
        lab.expect(20, "commands flow again", lambda: len(stream.replied()) > count + 10)
    lab.figure("commands", lab.check_exactly_once(stream), "")
    last = lab.events_arrived()
    numbers = [e["n"] for e in lab.console.events() if e["n"] <= last]
    own = [e["n"] for e in lab.host.events() if e["n"] <= last]
    lab.check("events: once, in order, none is missing", numbers == sorted(set(numbers)) and numbers[-1] == own[-1]
              and len(numbers) == numbers[-1], [len(numbers), numbers[-5:], own[-5:]])

    lab.step("a store of a newer program")
    lab.host.stop()
    path = lab.host.state / "uplink.db"
    with sqlite3.connect(path) as store:
        store.execute("PRAGMA user_version=99")
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    before, digest = lab.host.picture(), hashlib.sha256(path.read_bytes()).hexdigest()
    done = subprocess.run(lab.host.node.entry() + [str(folder / "uplinkd"), "--config", str(lab.host.config_file)],
                          capture_output=True, text=True, timeout=lab.limit(20))
    words = [line for line in done.stderr.splitlines() if line.startswith("uplinkd:")]
    lab.check("refused in one line", done.returncode == 1 and len(words) == 1 and "schema 99" in words[0], [done.returncode, done.stderr])
    lab.check("the store is not touched", hashlib.sha256(path.read_bytes()).hexdigest() == digest)
    lab.check("nothing is moved aside", not list(lab.host.state.glob("*.corrupt*")))
    lab.check("the network stays", lab.host.picture() == before)
    with sqlite3.connect(path) as store:
        store.execute("PRAGMA user_version=1")
    store.close()
    lab.host.start()
    lab.expect(15, "the host is online", lab.console.online)
