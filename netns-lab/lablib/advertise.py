"""Router advertisements that no router sends: forged, by the hundred, or with a router lifetime of 0. RFC 4861, 4.2."""
import json
import random
import socket
import struct
import threading
import time

ALL_NODES = socket.inet_pton(socket.AF_INET6, "ff02::1")
ETHERTYPE_IPV6, ICMPV6, ADVERTISEMENT = 0x86DD, 58, 134


def checksum(source, message):
    data = source + ALL_NODES + struct.pack("!II", len(message), ICMPV6) + message
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advertisement(mac, source, prefix=None, router_lifetime_s=1800, prefix_lifetime_s=1800, preferred_s=None):
    """An Ethernet frame. mac, source: of the router, bytes. prefix: 16 bytes of a /64 for SLAAC; None: none. preferred_s: 0
    deprecates the addresses of the prefix; None: as long as they are valid."""
    options = b""
    if prefix:
        preferred_s = prefix_lifetime_s if preferred_s is None else preferred_s
        options = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, prefix_lifetime_s, preferred_s, 0) + prefix
    message = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 64, 0, router_lifetime_s, 0, 0) + options
    message = message[:2] + struct.pack("!H", checksum(source, message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + source + ALL_NODES
    return bytes.fromhex("333300000001") + mac + struct.pack("!H", ETHERTYPE_IPV6) + header + message


def link_local(node, link):
    """The link-local address of a node's link, 16 bytes."""
    words = node.run(["ip", "-6", "-br", "addr", "show", "dev", link, "scope", "link"]).split()
    return socket.inet_pton(socket.AF_INET6, next(w for w in words if w.startswith("fe80")).split("/")[0])


def link_mac(node, link):
    """Its MAC address, 6 bytes."""
    return bytes.fromhex(json.loads(node.run(["ip", "-j", "link", "show", "dev", link]))[0]["address"].replace(":", ""))


def send(node, link, source, prefix=None, **lifetimes):
    """One advertisement from a node's link, of the router with this link-local address (text), for a prefix (text, ::/64)."""
    packed = socket.inet_pton(socket.AF_INET6, prefix) if prefix else None
    with node.inside():
        out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        out.bind((link, 0))
    with out:
        out.send(advertisement(link_mac(node, link), socket.inet_pton(socket.AF_INET6, source), packed, **lifetimes))


class Flood:
    """While it lasts, `rate` advertisements a second from a node's link, each of a router and a prefix of its own."""

    def __init__(self, node, link, rate, seed=1, lifetime_s=30):
        self.sent, self._node, self._link, self._rate, self._lifetime_s = 0, node, link, rate, lifetime_s
        self._random, self._stop = random.Random(seed), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        with self._node.inside():
            out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            out.bind((self._link, 0))
        with out:
            begin = time.monotonic()
            while not self._stop.wait(0.01):
                while self.sent < (time.monotonic() - begin) * self._rate:
                    mac = b"\x02" + self._random.randbytes(5)
                    router = bytes.fromhex("fe80000000000000") + self._random.randbytes(8)
                    prefix = b"\xfd" + self._random.randbytes(7) + bytes(8)
                    out.send(advertisement(mac, router, prefix, self._lifetime_s, self._lifetime_s))
                    self.sent += 1
