"""Frames of tunnel/PROTOCOL.md by hand, over Python's own TLS: for what a real end of the product would never say."""
import json
import random
import socket
import ssl
import struct
import time

from .product import CONSOLE_NAME, HOST_ID

HELLO, WELCOME, PING, PONG, PATH_STATUS, GOAWAY, ERROR, PATH_VIEW, DATA, ACK = 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x11
CRITICAL = 0x80
HEADER_BYTES = 16


def frame(kind, payload, flags=CRITICAL, channel=0, seq=0):
    return struct.pack(">BBHIQ", kind, flags, channel, len(payload), seq) + payload


def read_frame(tls):
    """(type, payload) of the next frame. Errors: OSError when the other end closes or is silent for the socket's limit."""
    header = _read(tls, HEADER_BYTES)
    return header[0], _read(tls, struct.unpack(">I", header[4:8])[0])


def _read(tls, count):
    heard = b""
    while len(heard) < count:
        part = tls.recv(count - len(heard))
        if not part:
            raise OSError("the other end closed the connection")
        heard += part
    return heard


def dial(lab, name="host", limit_s=10):
    """A TLS connection to the Console from its own node, with the certificate of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(lab.pki.pem("ca"))
    context.load_cert_chain(lab.pki.pem(name), lab.pki.key(name))
    context.set_alpn_protocols(["gallium/1"])
    bare = lab.console.node.socket()
    try:
        bare.settimeout(lab.limit(limit_s))
        bare.connect((lab.console.address, lab.topology.console_port))
        return context.wrap_socket(bare, server_hostname=CONSOLE_NAME)
    except BaseException:
        bare.close()
        raise


def hello(host=HOST_ID, versions=(1, 1), **more):
    """The members of a HELLO of that host's first path; `more` takes the place of some, or stands beside them."""
    return {"version_min": versions[0], "version_max": versions[1], "host": host, "install": "i", "boot": "b",
            "instance": "9f3c5a7e11d20b48", "session": "0" * 16, "epoch": 0, "next": [], "time": int(time.time() * 1000),
            "heartbeat": {"active_ms": 250, "standby_ms": 1000, "dead_after": 3}, "software": "uplink 9",
            "path": {"id": 1, "label": "x/y", "port": "x", "endpoint": "y:1", "adapter": "x", "class": 0, "rank": 0}, **more}


def welcome(**more):
    return {"version": 1, "session": "61d0d8f3c5a979f9", "epoch": 1, "resumed": False, "next": [1, 1, 1, 1, 1, 1, 1],
            "time": int(time.time() * 1000), "heartbeat": {"active_ms": 250, "standby_ms": 1000, "dead_after": 3, "mood": "calm"},
            "detach_ttl_s": 600, **more}


def ping(nonce, view=1, serial=0):
    return frame(PING, struct.pack(">QQIB3x", nonce, nonce, serial, view))


def ack(*channels):
    """Of (channel, next_expected) each, without ranges."""
    return frame(ACK, struct.pack(">H", len(channels)) + b"".join(struct.pack(">HHQ", c, 0, n) for c, n in channels))


def text(value):
    return json.dumps(value).encode()


class Door:
    """Takes connections at the Console's address, with the Console's certificate. Errors of a peer are the caller's."""

    def __init__(self, lab):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(lab.pki.pem("console"), lab.pki.key("console"))
        self.context.load_verify_locations(lab.pki.pem("ca"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.set_alpn_protocols(["gallium/1"])
        self.socket = lab.console.node.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((lab.console.address, lab.topology.console_port))
        self.socket.listen(16)
        self.socket.settimeout(0.1)

    def accept(self):
        """A TLS connection whose peer showed a certificate. Errors: TimeoutError: nobody came; OSError."""
        bare, _ = self.socket.accept()
        try:
            bare.settimeout(5)
            return self.context.wrap_socket(bare, server_side=True)
        except BaseException:
            bare.close()
            raise

    def close(self):
        self.socket.close()


class Fuzzer:
    """Seeded damage to JSON and to frames."""

    NASTY = (None, True, -1, 0, 1, 2**31, 2**32, 2**53, 2**63, 2**64, -2**63, 1e308, 0.5, "", "x", "x" * 300, "x" * 5000, "\0", "\x7f",
             "\u202e\ud83d\ude00", "../../etc/passwd", "%s%n", "'; DROP TABLE revisions; --", [], [[]], [None] * 40, {}, {"a": {"a": {}}},
             "0" * 16, "2026-02-30T99:99:99Z", "00000000-0000-0000-0000-000000000000", "255.255.255.255/33", "::", "eth0")

    def __init__(self, seed):
        self.random = random.Random(seed)

    def json(self, value, chance=0.5, keep=()):
        """The text of the object: whole, with some member changed, dropped or deep, or with bytes that are no JSON. keep: these
        members stay, if there is an object at all."""
        dice, whole = self.random, value
        if dice.random() >= chance:
            return text(value)
        for _ in range(dice.randint(1, 3)):
            value = self._changed(value)
        if isinstance(value, dict):
            value = {**value, **{key: whole[key] for key in keep if key in whole}}
        said = text(value)
        return self.bytes(said) if dice.random() < 0.3 else said

    def _changed(self, value, depth=0):
        dice = self.random
        if depth < 6 and dice.random() < 0.8:
            if isinstance(value, dict) and value:
                key = dice.choice(sorted(value))
                if dice.random() < 0.15:
                    return {k: v for k, v in value.items() if k != key}
                return {**value, key: self._changed(value[key], depth + 1)}
            if isinstance(value, list) and value:
                at = dice.randrange(len(value))
                return value[:at] + [self._changed(value[at], depth + 1)] * dice.choice((1, 1, 1, 2, 30)) + value[at + 1:]
        if dice.random() < 0.05:
            for _ in range(dice.choice((5, 20, 200))):
                value = [value] if dice.random() < 0.5 else {"a": value}
            return value
        return dice.choice(self.NASTY)

    def bytes(self, said):
        """A few bytes changed, dropped, doubled, or put between."""
        dice, said = self.random, bytearray(said)
        for _ in range(dice.randint(1, 4)):
            if not said:
                break
            at = dice.randrange(len(said))
            what = dice.randrange(5)
            if what == 0:
                said[at] ^= 1 << dice.randrange(8)
            elif what == 1:
                said[at] = dice.choice((0, 0x7f, 0x80, 0xff, 0x22, 0x7b))
            elif what == 2:
                del said[at:at + dice.randint(1, 8)]
            elif what == 3:
                said[at:at] = dice.randbytes(dice.randint(1, 8))
            else:
                said[at:at] = said[at:at + dice.randint(1, 32)]
        return bytes(said)

    def header(self, said):
        """A frame with another word in its header, or another length than it has."""
        dice = self.random
        kind, flags, channel, length, seq = struct.unpack(">BBHIQ", said[:HEADER_BYTES])
        what = dice.randrange(5)
        if what == 0:
            kind = dice.randrange(256)
        elif what == 1:
            flags = dice.randrange(256)
        elif what == 2:
            channel = dice.choice((1, 5, 6, 7, 255, 65535))
        elif what == 3:
            length = dice.choice((0, length + 1, max(length - 1, 0), 65536, 65537, 1 << 20, (1 << 20) + 1, 0xffffffff))
        else:
            seq = dice.choice((0, 1, seq + 1, seq + 255, seq + 256, 2**63, 2**64 - 1))
        return struct.pack(">BBHIQ", kind, flags, channel, length, seq) + said[HEADER_BYTES:]
