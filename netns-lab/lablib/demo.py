"""The demo: the product at work on real parts, told to somebody who sees it for the first time."""
import json
import pathlib
import sys
import time

from . import holder
from .doors import Door
from .product import TOKEN
from .runner import ignore_signals
from .scenario import Lab, NotMet
from .screen import Live, paint, say, section
from .traffic import CommandStream, TcpEcho, tcp_greeting

INSTANCE = "demo"
PICTURE = """
        VM web ── tap ──┐
                        │    eth0 ── switch ── router-a {a:<16} ──┐
     host hv: uplinkd ──┼─── eth1 ── switch ── router-b {b:<16} ──┼── internet ── Console {c}
                        └─── eth2 ── switch ── router-c {e:<16} ──┘
   Each box is a network namespace, each cable a veth pair. Each router runs a DHCP and DNS server of its own and a
   firewall; a client sits behind each switch. The programs are the real ones: {programs}"""


class Demo:
    """The acts in order; facts is what the closing table says: (what, result)."""

    def __init__(self, lab):
        self.lab, self.live, self.facts = lab, Live(lab.host), []
        self.sent = 0

    def until(self, within, text, predicate):
        """expect() with the table alive."""
        def watched():
            self.live.tick()
            return predicate()
        return self.lab.expect(within, text, watched)

    def fact(self, what, result):
        self.facts.append((what, result))
        say(paint(f"-> {what}: {result}", "1"))

    # -- the acts ------------------------------------------------------------------------------------------------
    def begin(self):
        lab, started = self.lab, time.monotonic()
        lab.console.start()
        lab.host.start()
        ports = lab.topology.ports
        online = self.until(15, "the host is online", lab.console.online) and time.monotonic() - started
        self.until(15, "every port carries a usable path", lambda: all(
            lab.host.path_states().get(p) in ("active", "standby") for p in ports))
        self.live.end()
        self.fact("daemon start to host online at the Console", f"{online * 1000:.0f} ms")
        self.fact("every port has a lease and a verified TLS path", f"{(time.monotonic() - started) * 1000:.0f} ms")

    def configure(self):
        lab = self.lab
        operations = [
            {"op": "network.create", "network": "lan", "kind": "nat", "subnet": "10.99.0.0/24",
             "dhcp": {"from": "10.99.0.10", "to": "10.99.0.200"}},
            {"op": "interface.attach", "interface": "web", "vm": "shop", "network": "lan"},
            lab.publish("shop-http", port=8080, to_port=80)]
        say(paint("POST /api/v1/hosts/hv-01/commands", "36"))
        for operation in operations:
            say("  " + json.dumps(operation))
        start = time.monotonic()
        record = lab.console.must(operations)
        took = time.monotonic() - start
        plan = record.get("plan") or []
        say(f"state: {record['state']}, revision {record['revision']}; what the host did ({len(plan)} steps):")
        for line in plan[:8]:
            say(paint("  " + line.splitlines()[0][:110], "2"))
        if len(plan) > 8:
            say(paint(f"  ... and {len(plan) - 8} more", "2"))
        self.fact("NAT network, VM interface and publication, journalled, applied and verified", f"{took * 1000:.0f} ms")
        vm = lab.vm("web")
        say(f"VM web boots and gets {vm.dhcp()} by DHCP")
        self.server = TcpEcho(vm.node, 80, "hello from VM web, you are")
        self.visit("a")

    def visit(self, name):
        """A client behind an uplink opens the publication; fails the demo if the VM does not answer."""
        lab = self.lab
        port = lab.topology.uplink(name).port
        address = lab.host.address(port)
        start = time.monotonic()
        said = tcp_greeting(lab.client(name), address, 8080)
        lab.check(f"client-{name} reaches the VM", said.startswith("hello from VM web"), said)
        self.fact(f"client-{name} connects to {address}:8080",
                  f'"{said}", {(time.monotonic() - start) * 1000:.1f} ms')

    def fault(self, what, action, name):
        """A command every 5 ms, the fault in the middle; the longest pause between two replies is the gap."""
        lab, active = self.lab, self.lab.host.active_port()
        session = lab.host.session()
        revision, base = lab.host.revision(), self.sent
        make = lambda n: [lab.publish(f"d-{base + n}", port=20000 + base + n, to_port=1000)]
        say(f"a command every 5 ms goes to the host; {what.format(port=active)}")
        with CommandStream(lab.console, make) as stream:
            self.until(30, "commands flow", lambda: len(stream.replied()) > 60)
            moment = time.monotonic()
            action(active)
            self.until(5, "the tunnel is on another port", lambda: lab.host.active_port() not in (active, None))
            end = time.monotonic() + 1.2
            while time.monotonic() < end:
                self.live.tick()
                time.sleep(0.02)
        self.live.end()
        states = lab.settle(stream)
        self.sent += len(states)
        made = lab.rules("d-")
        done = sum(state == "done" and f"d-{base + number}" in made for number, state in states.items())
        doubled = lab.host.revision() - revision - done     # Each makes a rule and a revision.
        lab.check("every command was done, and has its effect", done == len(states), [done, stream.states()])
        lab.check("each once", doubled == 0, doubled)
        lab.check("the session is the same", lab.host.session() == session)
        self.fact(f"{name}: gap in command replies", f"{stream.gap_s(moment) * 1000:.0f} ms, now over "
                  f"{lab.host.active_port()}, same session")
        self.fact(f"{name}: commands sent / done once / lost / doubled",
                  f"{len(states)} / {done} / {len(states) - done} / {doubled}")
        return active

    def repair(self, port):
        """The cable is back: the path is verified and waits, the tunnel does not jump back."""
        lab, active = self.lab, self.lab.host.active_port()
        took = self.until(15, f"{port} is standby", lambda: lab.host.path_states().get(port) == "standby")
        self.live.end()
        self.fact(f"{port} repaired to verified standby path", f"{took * 1000:.0f} ms; the tunnel stays on {active}")

    def close(self):
        print()
        width = max(len(what) for what, _ in self.facts)
        print(paint("   What was done, and what was measured", "1"))
        print("   " + "-" * min(118, width + 46))
        for what, result in self.facts:
            print(f"   {what.ljust(width)}  {result}")
        print("   " + "-" * min(118, width + 46), flush=True)


def play(lab):
    """The whole play. Errors: NotMet when the product did not do what the demo shows."""
    demo = Demo(lab)
    wan = {u.name: u.subnet for u in lab.topology.uplinks}
    section(1, "A host with three uplinks, three routers, a Console, on this machine's kernel")
    print(PICTURE.format(a=wan["a"], b=wan["b"], e=wan["c"], c=lab.topology.console_addresses[0],
                         programs="uplinkd, uplink-console, dhcpcd, dnsmasq, nft."))
    section(2, "The daemon starts: DHCP on every port, a verified TLS path over each, one of them active")
    demo.begin()
    section(3, "A command from the Console becomes a network")
    demo.configure()
    section(4, "The active cable is pulled")
    pulled = demo.fault("now {port} is unplugged", lab.pull, "pulled cable")
    demo.visit({"eth0": "b"}.get(pulled, "a"))
    section(5, "The cable is plugged in again")
    lab.plug(pulled)
    demo.repair(pulled)
    section(6, "A router fails silently: the link stays up, nothing gets through")
    cut = demo.fault("now the router behind {port} drops everything", lab.cut, "silent cut")
    section(7, "The router forwards again")
    lab.heal(cut)
    demo.repair(cut)
    demo.close()
    return demo


def stay(lab):
    """Keeps the lab up until Ctrl-C; the lab's other verbs work on it from another terminal."""
    doors = [Door(lab.console.node, lab.console.address, lab.console.api_port, 8480),
             Door(lab.host.node, "127.0.0.1", 8480, 8481)]
    print(f"\n   The lab stays up.\n     Console  {doors[0].url()}   (token {TOKEN})\n     Host     {doors[1].url()}\n"
          f"   In another terminal: netns-lab/lab pull eth0 | plug eth0 | cut eth1 | heal eth1 | status |\n"
          f"     exec hv {lab.programs}/uplinkctl --socket {lab.host.runtime}/control.sock watch\n"
          "   Ctrl-C takes it away.", flush=True)
    try:
        with holder.open_listener(lab.instance) as listener:
            holder.serve(lab, listener)
    except KeyboardInterrupt:
        print()
    finally:
        for door in doors:
            door.close()
        pathlib.Path(holder.socket_path(lab.instance)).unlink(missing_ok=True)


def run(programs, keep):
    """Exit status: 0 when all that is shown was so and nothing is left behind."""
    sys.setswitchinterval(0.0005)
    sys.stdout.reconfigure(errors="replace")    # A locale without these characters costs only them.
    lab = Lab("three", programs, INSTANCE if keep else None, say=lambda text: None)
    problems, left, ended = [], [], False
    try:
        lab.prepare()
        demo = play(lab)
        if keep:
            stay(lab)
        else:
            demo.server.stop()
        problems = lab.finish() if lab.nodes else []
        ended = True
    except NotMet as error:
        problems = [str(error), lab.host.log_tail(), lab.console.log_tail()]
    finally:
        ignore_signals()
        left = lab.down()
    problems += [f"left behind: {thing}" for thing in left]
    for problem in problems:
        print(f"   FAILED: {problem}", file=sys.stderr)
    if ended and not problems:
        print("   Everything is taken away again: no namespace, process or file of the lab is left.")
    return 1 if problems else 0
