"""What a scenario file sees: the lab with the product in it, steps, expectations with deadlines, figures."""
import contextlib
import re
import signal
import subprocess
import time

from . import pace
from . import topology as topologies
from .network import Network
from .ns import LabError
from .pki import Pki
from .product import CONSOLE_NAME, HOST_ID, Console, Host
from .vm import Vm

FINAL = {"done", "refused", "rolled_back", "superseded", "expired", "indeterminate"}
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")


class NotMet(Exception):
    """An expectation was not met; the text says which, and what was seen instead."""


class Lab(Network):
    """A network with the product. host: uplinkd; console: uplink-console. Steps are printed as they happen."""

    def __init__(self, topology_name, programs, instance=None, say=print):
        super().__init__(topologies.load(topology_name), instance)
        self.programs, self.say = programs, say
        self.figures = {}
        self.host = self.console = self.pki = None
        self.others = []             # further hosts (cluster.py)

    def prepare(self):
        """Network and certificates; no program of ours runs yet."""
        self.up()
        self.pki = Pki(self.dir / "pki").standard(HOST_ID, CONSOLE_NAME, self.topology.console_addresses)
        self.host = Host(self.node("hv"), self.programs, self.pki, self.topology)
        self.console = Console(self.node("console"), self.programs, self.pki, self.topology)
        return self

    def start(self, active=None):
        """Console and daemon run, the host is online. active: wait until this port carries the tunnel as well."""
        self.console.start()
        self.host.start()
        self.expect(15, "the Console sees the host online", self.console.online)
        if active:
            self.expect(10, f"the tunnel is on {active}", lambda: self.host.active_port() == active)
        return self

    def wait_paths(self, within=15):
        """Every plugged port has a usable path."""
        ports = [u.port for u in self.topology.uplinks if u.port]
        self.expect(within, "every port has a usable path", lambda: all(
            self.host.path_states().get(p) in ("standby", "active") for p in ports))

    # -- the words of a scenario -------------------------------------------------------------------------------------
    def step(self, text):
        self.say(f"  - {text}")

    def expect(self, within, text, predicate, interval=0.01):
        """Polls predicate until it is true; returns the seconds it took. Errors: NotMet after `within` seconds
        (more under an emulated kernel, and asked less often: pace.py)."""
        start = time.monotonic()
        within, interval = pace.deadline(within), pace.interval(interval)
        seen = None
        while True:
            try:
                seen = predicate()
                if seen:
                    return time.monotonic() - start
            except (LabError, OSError, LookupError, ValueError, StopIteration, subprocess.TimeoutExpired) as error:
                seen = repr(error)
            if time.monotonic() - start > within:
                raise NotMet(f"not within {within:g} s: {text} (last seen: {seen!r})")
            time.sleep(interval)

    def never(self, seconds, text, predicate, interval=0.02):
        """Predicate stays false for so long. Errors: NotMet at once when it turns true."""
        end = time.monotonic() + seconds
        interval = pace.interval(interval)
        while time.monotonic() < end:
            seen = predicate()
            if seen:
                raise NotMet(f"happened and must not: {text} (seen: {seen!r})")
            time.sleep(interval)

    @staticmethod
    def lasts(seconds):
        """A duration that is part of the fault itself: an outage this long, a flap at this pace. Never a wait for
        something to happen: that is expect()."""
        time.sleep(seconds)

    @staticmethod
    def limit(seconds):
        """An upper limit for a measured duration on this machine; what a figure is held against."""
        return pace.deadline(seconds)

    def check(self, text, condition, seen=None):
        """A condition that must hold now."""
        if not condition:
            raise NotMet(f"does not hold: {text}" + ("" if seen is None else f" (seen: {seen!r})"))

    def figure(self, name, value, unit="ms", target=None):
        """A measured number for the result line and the JSON; beside it what is to be reached, which is not checked."""
        self.figures[name] = {"value": round(value, 3), "unit": unit} | ({} if target is None else {"target": target})

    # -- things scenarios do often -----------------------------------------------------------------------------------
    def nat_network(self, network="lan", subnet="10.99.0.0/24", interface="web"):
        """A NAT network with one interface, by one command; the VM behind it with a lease."""
        self.nat_interface(network, subnet, interface)
        vm = self.vm(interface)
        vm.dhcp()
        return vm

    def nat_interface(self, network="lan", subnet="10.99.0.0/24", interface="web"):
        """The same without a VM behind the tap."""
        prefix = subnet.rsplit(".", 1)[0]
        self.console.must([
            {"op": "network.create", "network": network, "kind": "nat", "subnet": subnet,
             "dhcp": {"from": f"{prefix}.10", "to": f"{prefix}.200"}},
            {"op": "interface.attach", "interface": interface, "vm": f"vm-{interface}", "network": network}])

    def vm(self, interface):
        return Vm(self, self.host, interface)

    @staticmethod
    def publish(rule, interface="web", port=8080, to_port=80, protocol="tcp", **more):
        return {"op": "gateway.publish", "rule": rule, "interface": interface, "protocol": protocol, "port": port,
                "to_port": to_port, **more}

    def rules(self, prefix="r-"):
        """Ids of the publications the host has."""
        return {g["rule"] for g in self.host.ctl("gateway") if g["rule"].startswith(prefix)}

    def publishing(self, interface="web", base_port=20000):
        """make_operations for a CommandStream: command n publishes port base_port+n as rule r-n: one visible effect,
        and a second execution would be refused, because the rule exists. For check_exactly_once(): from now on every
        revision is a command's."""
        self._revision = self.host.revision()
        return lambda n: [self.publish(f"r-{n}", interface, port=base_port + n, to_port=1000)]

    def settle(self, stream, within=20):
        """Waits until every command of a stopped stream has a final state at the Console; returns {n: state}."""
        states = {}

        def all_final():
            for record in stream.records.values():
                if states.get(record["n"]) not in FINAL:
                    states[record["n"]] = self.console.command_state(record["id"])["state"]
            return all(state in FINAL for state in states.values())

        self.expect(within, "every command has a final state", all_final, 0.05)
        return states

    def check_exactly_once(self, stream, others=0):
        """Every command of a publishing() stream was executed, once: all done, the host has just these rules, and made one
        revision for each and no more: what ran twice would have made two. others: commands beside them that changed the model."""
        states = self.settle(stream)
        wrong = {n: s for n, s in states.items() if s != "done"}
        self.check("every command is done", not wrong, wrong)
        want = {f"r-{n}" for n in states}
        got = self.rules()
        self.check("the host has exactly the rules that were sent", got == want,
                   {"missing": sorted(want - got), "extra": sorted(got - want)})
        made = self.host.revision() - self._revision
        self.check("it made one revision for each", made == len(states) + others, [made, len(states), others])
        return len(states)

    def check_no_growth(self, before, grown_kib, fds=4):
        """The daemon's usage() against `before`: no thread more, at most so many descriptors and so much memory. Pre:
        host.keep_little_freed() before its start; `before` was read when it had done once what is repeated here."""
        self.expect(5, "no thread is left over", lambda: self.host.usage()["threads"] <= before["threads"])
        after = self.host.usage()
        self.check("no descriptor leaked", after["fds"] <= before["fds"] + fds, [before, after])
        grown = after["rss_kib"] - before["rss_kib"]
        self.figure("rss_growth", grown, "KiB")
        self.check("memory does not grow", grown <= grown_kib or not self.host.shows_its_memory(), [before, after])

    def switches(self, after=0):
        """Durable events of path switches that the Console has, after event number `after`."""
        self.events_arrived()
        return [e for e in self.console.events(after) if e["kind"] == "path.switch"]

    def expect_event(self, after, kind, within=5):
        """Data of the first event of this kind that the host made after number `after`."""
        found = []
        self.expect(within, f"event {kind}",
                    lambda: found.extend(e for e in self.host.events() if e["n"] > after and e["kind"] == kind) or found)
        return found[0]["data"]

    def events_arrived(self):
        """Waits until the Console has every event that the host has made so far; returns the last one's number."""
        last = max((e["n"] for e in self.host.events()), default=0)
        self.expect(10, f"event {last} is at the Console",
                    lambda: max((e["n"] for e in self.console.events()), default=0) >= last, 0.05)
        return last

    # -- ending ------------------------------------------------------------------------------------------------------
    def finish(self):
        """Ends the product in an orderly way and says what is wrong about how it ended: [] when all is well."""
        problems = []
        for name, program in [("uplinkd", host) for host in [self.host, *self.others]] + [("uplink-console", self.console)]:
            if program and program.daemon:
                if not program.running():
                    problems.append(f"{name} ended by itself with status {program.daemon.returncode}: "
                                    f"{program.log_tail()}")
                else:
                    with contextlib.suppress(ProcessLookupError):
                        problems += self._stop(program)
        for log in sorted(self.dir.glob("*/*.log")) if self.dir else []:
            found = SANITIZER.search(log.read_text(errors="replace"))
            if found:
                text = log.read_text(errors="replace")
                problems.append(f"{log.name}: {text[found.start():found.start() + 1500]}")
        return problems

    @staticmethod
    def _stop(program):
        program.daemon.send_signal(signal.SIGCONT)      # A fault may have stopped it.
        try:
            program.stop()
        except Exception as error:
            return [str(error)]
        return []
