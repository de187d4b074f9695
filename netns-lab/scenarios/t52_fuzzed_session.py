"""T52. Damaged frames and messages over valid TLS sessions: hosts with certificates of their own against the Console, while
another host's commands go on; then a Console with the right certificate against a host. Neither crashes, leaks or grows, the
other host notices nothing, and the host is the real Console's again afterwards.

In each run a little of it (SHARE_S on each side). T52_SECONDS=1800: so long on each side; T52_SEED: another damage."""
import contextlib
import json
import os
import select
import ssl
import struct
import threading
import time
import uuid

from lablib import pace
from lablib.frames import (ACK, CRITICAL, DATA, ERROR, GOAWAY, HELLO, PATH_STATUS, PATH_VIEW, WELCOME, Door, Fuzzer,
                           ack, dial, frame, hello, ping, read_frame, text, welcome)
from lablib.pki import host_names
from lablib.traffic import CommandStream, Worker

TOPOLOGY = "two"
SHARE_S = float(os.environ.get("T52_SECONDS", "12"))
SEED = int(os.environ.get("T52_SEED", "1"))
TIMEOUT_S = 900 + 4 * SHARE_S
RETURN_S = 330               # Of what is no WELCOME of the protocol the host's back-off grows to 5 minutes.
IDENTITIES = 48
PATIENCE_S = 600             # A host that broke the rules three times is refused for so long.
GROWTH_KIB = 65536           # 48 sessions that wait for their hosts, under ASan, and SQLite's pages
HOST_GROWTH_KIB = 32768
STREAMS = {"window": 524288, "session_window": 1048576, "count": 256}


def run(lab):
    lab.console.keep_little_freed()
    lab.host.keep_little_freed()
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    for number in range(IDENTITIES):
        lab.pki.issue(f"fz-{number}", "ca", host_names(f"fz-{number}"))
    hostile_hosts(lab)
    hostile_console(lab)


def hostile_hosts(lab):
    lab.step(f"{IDENTITIES} hosts that say damaged things, seed {SEED}, {SHARE_S:g} s")
    session, events, dials = lab.host.session(), lab.events_arrived(), {p["port"]: p["dials"] for p in lab.host.paths()}
    warm = None
    with CommandStream(lab.console, lab.publishing(), interval_s=0.1) as stream:
        with HostileHosts(lab) as hosts:
            lab.expect(30, "some of it got in", lambda: hosts.welcomes >= 10)
            warm = lab.console.usage()
            until = time.monotonic() + SHARE_S
            while time.monotonic() < until:
                lab.expect(30, "the Console answers its operator", lambda: lab.console.get("/api/v1/hosts"))
                lab.check("it runs", lab.console.running())
                lab.lasts(0.5)
    lab.figure("connections", hosts.connections, "")
    lab.figure("welcomes", hosts.welcomes, "")
    lab.figure("frames", hosts.frames, "")
    lab.check("damaged HELLOs were refused, too", hosts.refused > 0, hosts.refused)
    lab.check("nothing unforeseen on our side", not hosts.surprises, hosts.surprises[:3])
    lab.expect(30, "the descriptors are given back", lambda: lab.console.usage()["fds"] <= warm["fds"] + 4)
    lab.check_exactly_once(stream)
    after = lab.console.usage()
    lab.figure("console_rss_growth", after["rss_kib"] - warm["rss_kib"], "KiB")
    lab.check("no thread is left over", after["threads"] <= warm["threads"], [warm, after])
    lab.check("memory does not grow with it",
              after["rss_kib"] - warm["rss_kib"] <= GROWTH_KIB or not lab.console.shows_its_memory(), [warm, after])
    lab.check("the other host's session is the same", lab.host.session() == session)
    lab.check("and its connections", {p["port"]: p["dials"] for p in lab.host.paths()} == dials, lab.host.paths())
    lab.events_arrived()
    new = [e["kind"] for e in lab.console.events(events)]
    lab.check("it has noticed nothing", not [k for k in new if k.startswith(("path.", "session."))], new)


def hostile_console(lab):
    lab.step(f"a Console that says damaged things, {SHARE_S:g} s")
    lab.console.stop()
    before = lab.host.usage()
    with HostileConsole(lab) as console:
        until = time.monotonic() + pace.deadline(SHARE_S)
        lab.expect(60 + SHARE_S, "the host has come to it, again and again",
                   lambda: time.monotonic() >= until and console.sessions >= 3, 0.2)
    lab.figure("console_sessions", console.sessions, "")
    lab.figure("console_frames", console.frames, "")
    lab.check("nothing unforeseen on our side", not console.surprises, console.surprises[:3])
    lab.check("the daemon runs", lab.host.running())
    lab.check("its ports keep their leases", all(lab.host.port(p)["state"] == "leased" for p in ("eth0", "eth1")), lab.host.ctl("ports"))
    lab.console.start()
    took = lab.expect(RETURN_S, "the host is the real Console's again", lab.console.online)
    lab.figure("back_after", took * 1000)
    lab.wait_paths(RETURN_S)
    lab.expect(60, "what the other one began is over", lambda: not lab.host.ctl("status").get("trial"))
    lab.console.must([lab.publish("r-after", port=30000)], wait=120)
    lab.expect(60, "its events arrive", lambda: lab.events_arrived() > 0)
    after = lab.host.usage()
    lab.figure("host_rss_growth", after["rss_kib"] - before["rss_kib"], "KiB")
    lab.check("no descriptor is left over", after["fds"] <= before["fds"] + 8, [before, after])
    lab.check("no thread is left over", after["threads"] <= before["threads"], [before, after])
    lab.check("memory does not grow with it",
              after["rss_kib"] - before["rss_kib"] <= HOST_GROWTH_KIB or not lab.host.shows_its_memory(), [before, after])


class Talk:
    """One connection in its life: valid frames with damaged content, in order, and at last damaged frames."""

    def __init__(self, tls, fuzz, messages):
        self.tls, self.fuzz, self.messages = tls, fuzz, messages
        self.numbers, self.nonce, self.frames = {}, 0, 0

    def data(self, channel, payload):
        self.numbers[channel] = self.numbers.get(channel, 0) + 1
        self.send(frame(DATA, payload[:65536], channel=channel, seq=self.numbers[channel]))

    def send(self, said):
        self.tls.sendall(said)
        self.frames += 1
        self.hear()

    def hear(self, wait_s=0):
        """Takes what has come. Errors: OSError when the other end is through with us."""
        while self.tls.pending() or select.select([self.tls], [], [], wait_s)[0]:
            if not self.tls.recv(65536):
                raise OSError("closed")

    def one(self):
        """A frame that breaks no rule of the session, whatever it says."""
        dice = self.fuzz.random
        what = dice.randrange(12)
        if what < 7:
            channel, message = self.messages(dice)
            return self.data(channel, self.fuzz.json(message, keep=("dry_run",)))
        if what == 7:
            return self.data(5, stream_frame(self.fuzz))
        if what == 8:
            self.nonce += dice.randint(1, 1000)
            return self.send(ping(self.nonce, dice.randrange(8), dice.randrange(3)))
        if what == 9:
            return self.send(ack(*[(c, 1) for c in range(dice.randint(1, 5))]))
        if what == 10:
            return self.send(frame(PATH_VIEW, struct.pack(">IB3xQ", dice.randrange(4), dice.randrange(256), dice.randrange(2**20)), flags=0))
        return self.data(4, dice.randbytes(dice.choice((0, 1, 100, 20000))))

    def damaged(self):
        """A frame that may end the connection. What a GOAWAY says to wait is waited, up to a week: no digits to be doubled."""
        dice = self.fuzz.random
        self.nonce += 1
        said = dice.choice((
            lambda: frame(PATH_STATUS, self.fuzz.json({"path": 1, "state": "down", "cause": "silence", "last_rx_ms": 12}, 0.9)),
            lambda: frame(GOAWAY, self.fuzz.json({"reason": "x", "reconnect_in_ms": 0, "spread_ms": 0, "try_for_ms": 0,
                                                  "endpoints": ["203.0.113.7:8443"]}, 0.9)),
            lambda: frame(DATA, dice.randbytes(20), channel=1, seq=self.numbers.get(1, 0) + dice.choice((1, 2, 200, 256, 257))),
            lambda: ping(self.nonce), lambda: ack((1, dice.choice((1, 2, 2**40)))),
            lambda: frame(ACK, dice.randbytes(dice.randrange(64))),
            lambda: frame(dice.randrange(256), dice.randbytes(dice.randrange(80)), flags=dice.choice((0, CRITICAL, 1)))))()
        what = dice.random()
        if what < 0.4:
            said = self.fuzz.header(said)
        elif what < 0.8:
            said = self.fuzz.bytes(said)
        self.send(said)

    def run(self, whole, broken):
        for _ in range(whole):
            self.one()
        for _ in range(broken):
            self.damaged()
        self.hear(0.05)


class HostileHosts(Worker):
    """Two at a time."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.connections, self.welcomes, self.refused, self.frames = lab, 0, 0, 0, 0
        self.surprises, self.blocked, self.events, self.lock = [], {}, {}, threading.Lock()
        for number in range(2):
            self._run(self._work, number)

    def _work(self, number):
        fuzz = Fuzzer(2 * SEED + number)
        while not self._stop.is_set():
            try:
                self._come(fuzz)
                self._stop.wait(0.02)       # Nobody is to be measured by how long it hears us alone.
            except (OSError, ssl.SSLError):
                pass            # That is what the other end does to us.
            except Exception as error:
                self.surprises.append(repr(error))
                return

    def _come(self, fuzz):
        dice, now = fuzz.random, time.monotonic()
        free = [n for n in range(IDENTITIES) if self.blocked.get(n, 0) <= now]
        who = dice.choice(free or range(IDENTITIES))
        said = hello(f"fz-{who}", instance=f"{dice.randrange(1, 2**52):016x}", streams=STREAMS)
        with dial(self.lab, f"fz-{who}") as tls:
            with self.lock:
                self.connections += 1
            damaged = not free or dice.random() < 0.3
            greeting = frame(HELLO, fuzz.json(said, 1.0 if damaged else 0.0))
            tls.sendall(fuzz.header(greeting) if damaged and dice.random() < 0.2 else greeting)
            tls.settimeout(self.lab.limit(7))
            kind, answer = read_frame(tls)
            if kind != WELCOME:
                self.refused += 1
                if kind == ERROR and json.loads(answer).get("code") == "quarantined":
                    self.blocked[who] = now + PATIENCE_S
                return
            with self.lock:
                self.welcomes += 1
            talk = Talk(tls, fuzz, lambda d: self._message(d, who))
            try:
                talk.run(dice.choice((0, 10, 100, 400)), dice.choice((0, 1, 10)))
            finally:
                with self.lock:
                    self.frames += talk.frames

    def _message(self, dice, who):
        """(channel, what a host says on it)."""
        id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        what = dice.randrange(9)
        if what < 3:
            number = self.events[who] = self.events.get(who, 0) + 1
            return 2, {"type": "event", "n": number, "time": "2026-01-01T00:00:00Z", "kind": "path.switch",
                       "data": {"to": "eth0/x", "reason": "silence", "from": "eth1/x"}}
        if what == 3:
            return 3, {"type": "snapshot", "time": "2026-01-01T00:00:00Z", "version": "1", "revision": 3, "paths": [
                {"path": "eth0/x", "port": "eth0", "state": "active", "active": True, "rtt_ms": 1.5, "since": "2026-01-01T00:00:00Z"}],
                "ports": [{"port": "eth0", "mac": "52:54:00:00:00:01", "state": "leased", "counters": {"rx_bytes": 1}}],
                "model": {"networks": []}, "revisions": [{"revision": 3, "cause": "x", "time": "2026-01-01T00:00:00Z", "bytes": 4}]}
        if what == 4:
            piece = json.dumps({"type": "snapshot", "revision": 1})
            return 3, {"type": "part", "of": dice.randrange(3), "at": dice.choice((0, 0, 5)), "bytes": len(piece), "text": piece}
        if what == 5:
            return 1, {"type": dice.choice(("stored", "state")), "id": id, "state": dice.choice(("applying", "confirming", "done"))}
        if what == 6:
            return 1, {"type": "result", "id": id, "state": dice.choice(("done", "refused", "rolled_back")), "revision": dice.randrange(9),
                       "problems": [{"op": 0, "what": "no"}], "plan": ["x"] * dice.randrange(40), "changed": True, "elapsed_ms": 3}
        if what == 7:
            return 1, {"type": "history", "id": id, "revisions": [{"revision": 1, "cause": "x", "time": "2026-01-01T00:00:00Z", "bytes": 9}]}
        return 1, {"type": "renew", "id": id, "csr": "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"}


class HostileConsole(Worker):
    """At the Console's address, with its certificate."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.sessions, self.frames, self.surprises, self.epoch = lab, 0, 0, [], 2**20
        self.lock, self.door = threading.Lock(), Door(lab)
        self._run(self._serve)

    def _serve(self):
        fuzz = Fuzzer(SEED)
        while not self._stop.is_set():
            with contextlib.suppress(OSError, ssl.SSLError):
                tls = self.door.accept()
                self._run(self._talk, tls, Fuzzer(fuzz.random.getrandbits(32)))
        self.door.close()

    def _talk(self, tls, fuzz):
        dice = fuzz.random
        with tls:
            try:
                read_frame(tls)
                with self.lock:
                    self.epoch += 1
                    said = welcome(session=f"{dice.randrange(1, 2**51):016x}", epoch=self.epoch, streams=STREAMS)
                damaged = dice.random() < 0.15
                tls.sendall(frame(WELCOME, fuzz.json(said, 1.0 if damaged else 0.0)))
                talk = Talk(tls, fuzz, self._message)
                try:
                    with self.lock:
                        self.sessions += 0 if damaged else 1
                    talk.run(dice.choice((20, 200, 1000)), dice.choice((1, 5, 20)))
                finally:
                    with self.lock:
                        self.frames += talk.frames
            except (OSError, ssl.SSLError):
                pass
            except Exception as error:
                self.surprises.append(repr(error))

    def _message(self, dice):
        """(channel, what a Console says on it). What is not a dry run changes networks of its own only: a port's change that is
        let in would be tried out, and taken back long after this scenario."""
        id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        what = dice.randrange(12)
        if what < 4:
            name = f"net-{dice.randrange(4)}"
            operations = dice.choice((
                [{"op": "network.create", "network": name, "kind": "nat", "subnet": f"10.{dice.randrange(1, 200)}.0.0/24",
                  "dhcp": {"from": "10.1.0.10", "to": "10.1.0.200"}}],
                [{"op": "network.delete", "network": name}],
                [{"op": "interface.attach", "interface": f"if-{dice.randrange(4)}", "vm": "vm", "network": name}],
                [{"op": "interface.detach", "interface": f"if-{dice.randrange(4)}"}],
                [{"op": "gateway.publish", "rule": f"x-{dice.randrange(9)}", "interface": "web", "protocol": "tcp",
                  "port": dice.randrange(40000, 50000), "to_port": 80}],
                [{"op": "gateway.unpublish", "rule": f"x-{dice.randrange(9)}"}]))
            return 1, {"type": "command", "id": id, "operations": operations}
        if what < 7:
            operations = dice.choice((
                [{"op": "port.update", "adapter": "eth0", "mtu": 9000, "lldp": True}],
                [{"op": "group.create", "group": "g", "mode": "active-backup", "members": ["eth0", "eth1"]}],
                [{"op": "network.create", "network": "v", "kind": "vlan", "adapter": "eth1", "vlan": 100}],
                [{"op": "model.replace", "model": {"networks": [], "interfaces": [], "gateway": []}}]))
            return 1, {"type": "command", "id": id, "operations": operations, "dry_run": True, "revision": dice.randrange(5)}
        if what == 7:
            return 1, {"type": dice.choice(("confirm", "abort", "result_ack")), "id": id}
        if what == 8:
            return 1, dice.choice(({"type": "history", "id": id, "limit": 5}, {"type": "history", "id": id, "revision": 1}))
        if what == 9:
            return 1, {"type": "known", "revision": dice.randrange(100)}
        if what == 10:
            return 1, dice.choice(({"type": "signer", "generation": "g1", "spread_s": 0, "now": True},
                                   {"type": "identity", "id": id, "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n"
                                    "-----END CERTIFICATE-----\n", "ca": "", "generation": "g1"}))
        return 2, {"type": "event_ack", "n": dice.randrange(1, 50)}


def stream_frame(fuzz):
    """One frame of channel 5: of the streams' rules it breaks many, of the session's none."""
    dice = fuzz.random
    body = dice.choice((b"10.99.0.1:22", b"", b"x", struct.pack(">I", dice.choice((0, 1, 65536, 2**31, 2**32 - 1))),
                        dice.randbytes(dice.randrange(300)), bytes(16360)))
    said = struct.pack(">B3xI", dice.randrange(9), dice.randrange(8)) + body
    return fuzz.bytes(said) if dice.random() < 0.2 else said
