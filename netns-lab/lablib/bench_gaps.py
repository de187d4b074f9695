"""Gaps in commands and in a stream under each fault, beside the reference in the same second."""
import collections
import contextlib
import itertools
import json
import pathlib
import sqlite3
import subprocess
import tempfile
import time

from . import network
from .bench_figures import figure, progress
from .ns import LabError
from .product import HOST_ID, TOKEN
from .scenario import Lab, NotMet
from .streams import EchoStream, Forward, Listener, echo
from .traffic import Worker, longest_gap

REFERENCE_PROGRAM, COMMAND_PROGRAM = "bench_udp_reference", "bench_command_stream"
PROBES = (REFERENCE_PROGRAM, COMMAND_PROGRAM)
QUOTED_PORT = '"@PORT@"'        # a number where the template is filled in
ECHO_PORT = 9100
INTERVAL_S = 0.005
DRY_RUNS, MADE, STREAMS = "dry runs, stores in memory", "commands with effects, stores in memory", "stores in memory"   # notes
MUST = ("gap.carrier", "gap.cut")      # their targets are promised: the bench fails above them
EFFECTS, WRONG = "gap.effects", ("lost", "doubled", "reordered")
QUIET, QUIET_S = "gap.none", 0.25      # what the commands' own way costs without a fault: fsync, the host's other work
SETTLE_S = 1.0             # the stream goes on for so long after a fault has been survived


def build_probes(programs):
    """Builds what measures into the same build folder."""
    if all((programs / name).exists() for name in PROBES):
        return
    done = subprocess.run(["cmake", "--build", programs.parent, "--target", *PROBES], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"cannot build {' and '.join(PROBES)}: {(done.stdout + done.stderr)[-500:]}")


class Reference:
    """The UDP echo of tests/bench/gap beside the product: same host, same cables, same moment."""

    def __init__(self, lab, mode, active, other):
        bridges = [f"{lab.host.bridge(port)}:{port}" for port in (active, other)]
        self._child = lab.host.node.spawn(
            [lab.programs / REFERENCE_PROGRAM, mode, lab.console.address, ECHO_PORT, int(INTERVAL_S * 1e6), *bridges],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, log="reference.log")

    def end(self):
        """Moments of the echoes, in seconds of the monotonic clock."""
        out, _ = self._child.communicate(b"", timeout=10)
        return [float(line) for line in out.split()]


class SteadyCommands(Worker):
    """Publications at a steady pace, sent by tests/bench/commands: what CommandStream does, without Python's threads in
    the measure. Commands are numbered from `first`; records as CommandStream has them."""

    def __init__(self, lab, first=0, interval_s=INTERVAL_S, connections=12, **fields):
        super().__init__()
        self.records = {}
        body = json.dumps({"id": "@ID@", "operations": [lab.publish("b-@N@", port="@PORT@")], **fields})
        self._child = lab.console.node.spawn(
            [lab.programs / COMMAND_PROGRAM, lab.console.address, lab.console.api_port,
             f"/api/v1/hosts/{HOST_ID}/commands?wait=30", int(interval_s * 1e6), connections],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, log="commands.log")
        self._child.stdin.write(f"{TOKEN}\n{first}\n{body.replace(QUOTED_PORT, '@PORT@')}\n".encode())
        self._child.stdin.flush()
        self._run(self._read)

    def _read(self):
        for line in self._child.stdout:
            number, id, sent, answered, status, state = line.decode().split()
            record = {"n": int(number), "id": id, "sent": float(sent), "answer": {"state": state, "status": int(status)}}
            if float(answered):
                record["replied"] = float(answered)
            self.records[int(number)] = record

    def stop(self):
        """Every command that was sent is waited for."""
        self._child.stdin.close()
        super().stop()
        self._child.wait(timeout=10)

    def replied(self):
        return sorted(r["replied"] for r in list(self.records.values()) if "replied" in r)

    def states(self):
        """{state: count}"""
        return collections.Counter(r["answer"]["state"] for r in list(self.records.values()))


def gap_after(times, moment):
    """Longest pause in ms that touches or follows moment, minus the normal interval."""
    before = [t for t in times if t < moment][-1:]
    return max(0.0, longest_gap(before + [t for t in times if t >= moment])[0] - INTERVAL_S) * 1000


def healed(lab, port):
    """The cut ends; the cable is plugged anew, so that the port dials at once and not when its back-off is over."""
    lab.heal(port)
    lab.pull(port)
    lab.plug(port)


FAULTS = {   # figure: (what happens to the active port, how it is undone, reference mode, targets: median and worst, ms)
    "gap.carrier": (lambda lab, port: lab.pull(port), lambda lab, port: lab.plug(port), "switched", (30, 100)),
    "gap.cut": (lambda lab, port: lab.cut(port), healed, "twice", (400, None)),
    "gap.cut_up": (lambda lab, port: lab.cut(port, "up"), healed, "twice", (400, None)),
    "gap.cut_down": (lambda lab, port: lab.cut(port, "down"), healed, "twice", (400, None)),
    "gap.router_dead": (lambda lab, port: lab.kill_gateway(port), healed, "twice", (400, None)),
    "gap.flap": (lambda lab, port: flap(lab, port), lambda lab, port: None, "switched", (100, None))}
REFERENCE_NAMES = {"switched": "udp-switched-on-carrier", "twice": "udp-sent-twice"}


STREAM_FAULTS = {fault.replace("gap.", "stream_gap."): (fault, 60 if targets[2] == "switched" else 500)     # fault, target ms
                 for fault, targets in FAULTS.items()}


def flap_cable(set_cable):
    """Three times 50 ms without carrier, the pace of the fault itself. set_cable(plugged)."""
    for plugged in (False, True) * 3:
        set_cable(plugged)
        time.sleep(0.05)


def flap(lab, port):
    flap_cable(lambda plugged: lab.set_cable(port, plugged))


@contextlib.contextmanager
def stores_in_memory():
    """Labs made in the block keep what they write on a tmpfs: a disk that takes 30 to 500 ms for an fsync now and then, as
    shared machines' do, is no fault of a tunnel. What it adds stands in the reference of QUIET."""
    before, network.FOLDERS = network.FOLDERS, "/dev/shm"
    try:
        yield
    finally:
        network.FOLDERS = before


@stores_in_memory()
def measure_gaps(programs, wanted, runs, entries):
    """Appends all wanted gap.* figures, measured in one lab; each run hits the port that is active then."""
    lab = Lab("two", programs, say=lambda text: None)
    try:
        lab.prepare().start()
        lab.wait_paths()
        lab.nat_interface()
        server = lab.console.node.spawn([programs / REFERENCE_PROGRAM, "serve", ECHO_PORT], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        server.stdout.readline()
        sent, quiet = 0, []
        for name in wanted:
            product, reference = [], []
            for number in range(runs):
                sent, gap, floor, before = one_gap(lab, name, sent)
                product.append(gap)
                reference.append(floor)
                quiet.append(before)
                progress(f"{name} {number + 1}/{runs}: {gap:.0f} ms, before the fault {before:.0f} ms, reference {floor:.0f} ms")
            mode, (target, worst) = FAULTS[name][2:]
            entries.append(figure(name, "ms", product, target, REFERENCE_NAMES[mode], reference, target_worst=worst,
                                  must=name in MUST, note=DRY_RUNS))
        return [figure(QUIET, "ms", quiet, None, "bare commits, one every 5 ms", [commit_gap_ms() for _ in quiet],
                       note=DRY_RUNS)]
    finally:
        lab.down()


def commit_gap_ms():
    """What the disk alone does to a steady pace: the longest pause of bare commits in QUIET_S, minus the interval. A command
    is three commits at the host and two at the Console."""
    with tempfile.TemporaryDirectory(prefix="ul-bench-", dir="/tmp") as folder:
        database = sqlite3.connect(pathlib.Path(folder) / "bare.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE command(payload TEXT)")
        due = start = time.monotonic()
        done = []
        while due < start + QUIET_S:
            time.sleep(max(0.0, due - time.monotonic()))
            database.execute("INSERT INTO command VALUES (?)", ("x" * 200,))
            done.append(time.monotonic())
            due = max(due, done[-1] - INTERVAL_S) + INTERVAL_S
        database.close()
    return max(0.0, longest_gap(done)[0] - INTERVAL_S) * 1000


def effects_of(lab, stream, revision):
    """(lost, doubled, reordered) of a stopped stream of publications, from what they did: each makes a rule of its own and a
    revision of the model, on top of `revision`. Lost: no rule, or not done. Doubled: the host's revision has moved further
    than there are commands. Reordered: a command whose revision is not above that of the one that the Console took before
    it. The publications are withdrawn."""
    states, made = lab.settle(stream), lab.rules("b-")
    lost = sum(state != "done" or f"b-{number}" not in made for number, state in states.items())
    doubled = lab.host.ctl("status")["revision"] - revision - (len(states) - lost) + len(made - {f"b-{n}" for n in states})
    ids = {record["id"] for record in stream.records.values()}
    taken = [row for row in lab.console.get(f"/api/v1/hosts/{HOST_ID}/commands?limit=1000")["commands"] if row["id"] in ids][::-1]
    if len(taken) != len(ids):
        raise LabError(f"the Console lists {len(taken)} of {len(ids)} commands")
    revisions = [row["revision"] for row in taken if row["state"] == "done"]
    reordered = sum(later <= earlier for earlier, later in zip(revisions, revisions[1:]))
    lab.console.must([{"op": "gateway.withdraw", "rule": rule} for rule in sorted(made)])
    return lost, doubled, reordered


def struck(lab, name, stream):
    """One fault in the middle of a stream of commands; its moment, the port that was active, all commands answered."""
    fault, _, _, _ = FAULTS[name]
    active = lab.host.active_port()
    other = next(p for p in lab.topology.ports if p != active)
    with stream:
        lab.expect(30, "commands flow", lambda: len(stream.replied()) > 60)
        moment = time.monotonic()
        fault(lab, active)
        lab.expect(10, "the tunnel is on the other port",
                   lambda: lab.host.active_port() == other or name == "gap.flap")
        time.sleep(SETTLE_S)
    return moment, active


def repaired(lab, name, port):
    FAULTS[name][1](lab, port)
    lab.expect(40, f"{port} is usable again", lambda: lab.host.path_states()[port] in ("standby", "active"))


def one_gap(lab, name, sent):
    """One fault under commands and reference at once: commands sent so far; the gap, the reference's, and the longest in
    the quarter second before the fault, each in ms. Dry runs: what a bridge or a rule takes the kernel is no gap."""
    active = lab.host.active_port()
    other = next(p for p in lab.topology.ports if p != active)
    reference = Reference(lab, FAULTS[name][2], active, other)
    stream = SteadyCommands(lab, first=sent, dry_run=True)
    moment, active = struck(lab, name, stream)
    echoes = reference.end()
    if set(lab.settle(stream).values()) != {"done"}:
        raise NotMet(f"{name}: not every command was done: {stream.states()}")
    repaired(lab, name, active)
    replied = stream.replied()
    quiet = gap_after([t for t in replied if t < moment], moment - QUIET_S)
    return sent + len(stream.records), gap_after(replied, moment), gap_after(echoes, moment), quiet


@stores_in_memory()
def measure_effects(programs, runs):
    """The same faults under commands that change something, as many as the host takes at one every 5 ms: whether one is lost,
    doubled or reordered is counted from what they did. Their gaps stand beside the targets of the dry runs, for comparison:
    what the kernel takes for a rule is in them, so that no bound is promised."""
    lab, gaps, wrong, sent = Lab("two", programs, say=lambda text: None), {name: [] for name in FAULTS}, [], 0
    try:
        lab.prepare().start()
        lab.wait_paths()
        lab.nat_interface()
        for name, number in itertools.product(FAULTS, range(runs)):
            revision = lab.host.ctl("status")["revision"]
            stream = SteadyCommands(lab, first=sent)
            moment, active = struck(lab, name, stream)
            wrong.append(effects_of(lab, stream, revision))
            repaired(lab, name, active)
            gaps[name].append(gap_after(stream.replied(), moment))
            sent += len(stream.records)
            progress(f"{EFFECTS} {name} {number + 1}/{runs}: {gaps[name][-1]:.0f} ms, {len(stream.records)} commands: "
                     + ", ".join(f"{word} {count}" for word, count in zip(WRONG, wrong[-1])))
        return [*(figure(name.replace("gap.", f"{EFFECTS}."), "ms", values, FAULTS[name][3][0], target_worst=FAULTS[name][3][1],
                         note=MADE) for name, values in gaps.items()),
                *(figure(f"{EFFECTS}.{word}", f"of {sent}", counts, 0, target_worst=0, must=True, note=MADE)
                  for word, counts in zip(WRONG, zip(*wrong)))]
    finally:
        lab.down()


@stores_in_memory()
def measure_stream_gaps(programs, wanted, runs, entries):
    """A small echo every 5 ms over one forwarded connection, the active port struck; each run checks every byte."""
    lab = Lab("two", programs, say=lambda text: None)
    try:
        lab.prepare()
        lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022"]
        lab.start()
        lab.wait_paths()
        server = lab.console.node.spawn([programs / REFERENCE_PROGRAM, "serve", ECHO_PORT], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        server.stdout.readline()
        forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
        with Listener(lab.host.node, 9022, echo):
            for name in wanted:
                product, reference = [], []
                for number in range(runs):
                    gap, floor = one_stream_gap(lab, forward, STREAM_FAULTS[name][0])
                    product.append(gap)
                    reference.append(floor)
                    progress(f"{name} {number + 1}/{runs}: {gap:.0f} ms, reference {floor:.0f} ms")
                mode = FAULTS[STREAM_FAULTS[name][0]][2]
                entries.append(figure(name, "ms", product, STREAM_FAULTS[name][1], REFERENCE_NAMES[mode], reference,
                                      note=STREAMS))
        return []
    finally:
        lab.down()


def one_stream_gap(lab, forward, fault_name):
    """One fault under an echoing stream and the reference at once: (gap ms, reference gap ms)."""
    fault, repair, mode, _ = FAULTS[fault_name]
    active = lab.host.active_port()
    other = next(p for p in lab.topology.ports if p != active)
    reference = Reference(lab, mode, active, other)
    with EchoStream(forward.connect(), INTERVAL_S) as stream:
        lab.expect(30, "the stream echoes", lambda: len(stream.received) > 60)
        moment = time.monotonic()
        fault(lab, active)
        lab.expect(10, "the tunnel is on the other port",
                   lambda: lab.host.active_port() == other or fault_name == "gap.flap")
        time.sleep(SETTLE_S)
        if stream.error or not stream.received or time.monotonic() - max(stream.received.values()) > 0.5:
            raise NotMet(f"{fault_name}: the stream did not go on: {stream.error}")
        moments = stream.moments()
    echoes = reference.end()
    repair(lab, active)
    lab.expect(20, f"{active} is usable again", lambda: lab.host.path_states()[active] in ("standby", "active"))
    return gap_after(moments, moment), gap_after(echoes, moment)
