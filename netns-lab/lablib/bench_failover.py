"""`bench failover`: the product and what a site can do without it, under the same faults, in one lab run, one table."""
import shutil
import statistics
import subprocess
import time

from . import bench_gaps
from .bench_figures import figure, progress
from .product import HOST_ID
from .rivals import Mptcp, Rival, SwitchedTls
from .scenario import Lab, NotMet
from .streams import Forward, Listener, echo

IDLE_S = 20
COMMANDS = "this product, commands (dry runs)"
RECOVERY_S = 60        # the slowest contestant: three pings of 5 s and its 8 good answers are not waited for


class Contest:
    """Measures one contestant under one fault. Results: results[contestant][fault] = [(gap ms, lost, doubled), ...]."""

    def __init__(self, programs, runs):
        self.programs, self.runs, self.results, self.idle = programs, runs, {}, {}
        self.lab = Lab("two", programs, say=lambda text: None)
        self.sent = 0

    def run(self):
        try:
            self._prepare()
            for fault in bench_gaps.FAULTS:
                name = fault.removeprefix("gap.")
                for number in range(self.runs):
                    self._round(fault, name, number)
                    progress(f"failover.{name} {number + 1}/{self.runs}: " + ", ".join(
                        f"{who} {rounds[name][-1][0]:.0f} ms" for who, rounds in self.results.items() if name in rounds))
            self._idle_bytes()
        finally:
            for rival in getattr(self, "rivals", []):
                rival.stop()
            self.lab.down()
        return self.entries()

    def _prepare(self):
        if not shutil.which("stunnel4"):
            raise NotMet("stunnel4 is not installed, one of the contestants: tests/install-packages --bench brings it")
        lab = self.lab
        lab.prepare()
        lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022"]
        lab.start()
        lab.wait_paths()
        lab.nat_interface()
        self.server = lab.console.node.spawn([self.programs / bench_gaps.REFERENCE_PROGRAM, "serve", bench_gaps.ECHO_PORT],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.server.stdout.readline()
        self.forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
        self.machine = Rival(lab)
        self.rivals = [Mptcp(self.machine), SwitchedTls(self.machine)]

    def _round(self, fault, name, number):
        lab = self.lab
        self.sent, gap, floor, _ = bench_gaps.one_gap(lab, fault, self.sent)     # It checks that every command is done, once.
        self._note(COMMANDS, name, gap, 0, 0)
        mode = bench_gaps.REFERENCE_NAMES[bench_gaps.FAULTS[fault][2]]
        self._note(f"bound UDP, {'sent twice' if 'twice' in mode else 'sent once, switched on carrier'}", name, floor, 0, 0)
        with Listener(lab.host.node, 9022, echo):
            gap, _ = bench_gaps.one_stream_gap(lab, self.forward, fault)         # It checks every byte.
        self._note("this product, a stream", name, gap, 0, 0)
        for rival in self.rivals:
            if number % rival.every == 0:
                self._note(rival.name, name, *self._one_rival(rival, fault))

    def _note(self, who, name, gap, lost, doubled):
        self.results.setdefault(who, {}).setdefault(name, []).append((gap, lost, doubled))

    def _one_rival(self, rival, fault):
        """The fault hits the rival's first link, and with it the host's port behind the same router."""
        lab, port = self.lab, self.lab.topology.ports[0]
        strike, repair = bench_gaps.FAULTS[fault][:2]
        cable = fault in ("gap.carrier", "gap.flap")
        with rival.stream(bench_gaps.INTERVAL_S) as stream:
            lab.expect(10, f"{rival.name}: the echo runs", lambda: len(stream.received) > 60)
            moment = time.monotonic()
            if fault == "gap.flap":
                bench_gaps.flap_cable(lambda plugged: self.machine.set_cable(port, plugged))
            elif cable:
                self.machine.set_cable(port, False)
            else:
                strike(lab, port)
            before = len(stream.received)
            lab.expect(RECOVERY_S, f"{rival.name} goes on", lambda: len(stream.received) > before + 100)
            time.sleep(bench_gaps.SETTLE_S)
            last = max(stream.received)
            lost = last + 1 - len(stream.received)
            doubled = getattr(stream, "doubled", 0)
            if stream.error and "took nothing" not in stream.error:
                raise NotMet(f"{rival.name}: {stream.error}")
            moments = stream.moments()
        if cable:
            self.machine.set_cable(port, True)
        else:
            repair(lab, port)
            lab.expect(40, f"{port} is usable again", lambda: lab.host.path_states()[port] in ("standby", "active"))
        return bench_gaps.gap_after(moments, moment), lost, doubled

    def _idle_bytes(self):
        """Bytes a second on the standby's link, both ways, nothing to do; ARP and DHCP of the machine are in it."""
        lab = self.lab
        standby = next(p for p in lab.topology.ports if p != lab.host.active_port())
        counters = {"this product": lambda: sum(int(lab.host.node.sysfs(
            f"class/net/{standby}/statistics/{way}_bytes")) for way in ("rx", "tx")),
            self.rivals[1].name: lambda: self.machine.bytes_of(lab.topology.ports[1])}
        before, start = {who: count() for who, count in counters.items()}, time.monotonic()
        time.sleep(IDLE_S)
        took = time.monotonic() - start
        self.idle = {who: (count() - before[who]) / took for who, count in counters.items()}

    def entries(self):
        out = []
        targets = {COMMANDS: {"median": 10, "worst": 50}}
        for who, faults in self.results.items():
            for name, rounds in faults.items():
                gaps = [gap for gap, _, _ in rounds]
                key = "".join(c if c.isalnum() else "_" for c in who.split(",")[0].lower()).strip("_")
                entry = figure(f"failover.{name}", "ms", gaps, targets.get(who, {}).get("median"))
                entry |= {"contestant": who, "key": key, "lost": sum(r[1] for r in rounds),
                          "doubled": sum(r[2] for r in rounds)}
                out.append(entry)
        for who, rate in self.idle.items():
            entry = figure("failover.idle", "B/s", [rate], 1000 if who == "this product" else None)
            out.append(entry | {"contestant": who})
        return out

    def table(self):
        """Markdown: a line per contestant, a column per fault: median / worst in ms."""
        names = [f.removeprefix("gap.") for f in bench_gaps.FAULTS]
        lines = ["| gap in ms, median / worst | " + " | ".join(names) + " | lost | doubled |",
                 "|---" * (len(names) + 3) + "|"]
        for who, faults in self.results.items():
            cells = []
            for name in names:
                gaps = [gap for gap, _, _ in faults.get(name, [])]
                cells.append(f"{statistics.median(gaps):.0f} / {max(gaps):.0f}" if gaps else "")
            rounds = [r for rounds in faults.values() for r in rounds]
            lines.append(f"| {who} | " + " | ".join(cells)
                         + f" | {sum(r[1] for r in rounds)} | {sum(r[2] for r in rounds)} |")
        lines += [f"idle, standby link, both ways: {who} {rate:.0f} B/s" for who, rate in self.idle.items()]
        return "\n".join(lines)


@bench_gaps.stores_in_memory()
def measure(programs, runs):
    contest = Contest(programs, runs)
    entries = contest.run()
    print(contest.table())
    return entries
