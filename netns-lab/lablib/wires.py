"""The outside of groups: switches that know VLANs, aggregates at their end, captures that show tags."""
import contextlib
import json
import pathlib
import select
import socket
import struct
import subprocess
import threading

from . import pace
from .ns import LabError, ip_batch
from .reach import ETH_P_ALL

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10     # linux/if_packet.h
FLOWS_WITHIN_S = 10
AUXDATA = struct.Struct("=IIIHHHH")


def switch_knows_vlans(lab, uplink):
    """The switch filters by VLAN from now on; every socket is in VLAN 1, untagged."""
    lab.node("sw").ip("link", "set", "dev", f"sw-{uplink}", "type", "bridge", "vlan_filtering", "1")


def trunk(lab, link, *ids):
    """A socket of the switch carries these VLANs tagged, beside what it has."""
    for vlan in ids:
        lab.node("sw").run(["bridge", "vlan", "add", "dev", link, "vid", str(vlan)])


def access(lab, link, vlan):
    """A socket of the switch is in this VLAN only, untagged."""
    switch = lab.node("sw")
    switch.run(["bridge", "vlan", "del", "dev", link, "vid", "1"])
    switch.run(["bridge", "vlan", "add", "dev", link, "vid", str(vlan), "pvid", "untagged"])


def aggregate(lab, uplink, ports, mode, hash="layer2+3"):
    """The switch takes these ports as one: the far end of a group of that mode. hash: by what it chooses the port for a
    frame. Returns the aggregate's name."""
    name = f"lag-{uplink}"
    options = " lacp_rate fast" if mode == "802.3ad" else ""
    lines = [f"link add {name} type bond mode {mode} miimon 100 xmit_hash_policy {hash}{options}"]
    for port in ports:
        lines += [f"link set p-{port} nomaster", f"link set p-{port} down", f"link set p-{port} master {name}",
                  f"link set p-{port} up"]
        lab.plugged[port] = uplink
    ip_batch([*lines, f"link set {name} up", f"link set {name} master sw-{uplink}"], lab.nodes["sw"].netns)
    return name


def dissolve(lab, uplink, ports):
    """The way back: each port is a socket of the switch by itself, with the VLANs that the aggregate had."""
    name, switch = f"lag-{uplink}", lab.node("sw")
    vlans = [row["vlan"] for row in json.loads(switch.run(["bridge", "-j", "vlan", "show", "dev", name]))[0]["vlans"]]
    for port in ports:
        ip_batch([f"link set p-{port} nomaster", f"link set p-{port} master sw-{uplink} up"], switch.netns)
        trunk(lab, f"p-{port}", *(vlan for vlan in vlans if vlan != 1))
    switch.ip("link", "del", name)


class TaggedCapture:
    """Frames that enter or leave a node's links, each as (link, VLAN id or None, frame without its tag). entering: only those."""

    def __init__(self, node, links, entering=False):
        self.frames, self._sockets, self._stop = [], {}, threading.Event()
        self._entering = entering
        with node.inside():
            for link in links:
                made = self._sockets[link] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
                made.bind((link, ETH_P_ALL))
                made.settimeout(0.05)
        self._threads = [threading.Thread(target=self._read, args=entry, daemon=True) for entry in self._sockets.items()]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def _read(self, link, source):
        """Until the block has ended and what has arrived by then is read."""
        while True:
            ended = self._stop.is_set()
            source.settimeout(0 if ended else 0.05)
            try:
                data, extra, _, address = source.recvmsg(65535, 256)
            except OSError:
                if ended:
                    return
                continue
            if not self._entering or address[2] != socket.PACKET_OUTGOING:
                self.frames.append((link, *tag_of(data, extra)))

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        for source in self._sockets.values():
            source.close()

    def tags(self, mac, link=None):
        """VLAN ids (None: untagged) of the frames that this MAC sent."""
        sender = bytes.fromhex(mac.replace(":", ""))
        return {vlan for where, vlan, data in list(self.frames) if data[6:12] == sender and link in (None, where)}


def tag_of(data, extra):
    """(VLAN id or None, the frame without it): the kernel keeps the tag beside the frame, or in it."""
    for level, kind, content in extra:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, _ = AUXDATA.unpack_from(content)
            if status & TP_STATUS_VLAN_VALID:
                return tci & 0xFFF, data
    if data[12:14] == b"\x81\x00":
        return struct.unpack("!H", data[14:16])[0] & 0xFFF, data[:12] + data[16:]
    return None, data


def answers(node, address, count=1, wait_s=1):
    """Whether a node gets an answer to a ping; ARP included."""
    return f"{count} received" in node.run(["ping", "-n", "-c", str(count), "-W", str(wait_s), address], check=False)


@contextlib.contextmanager
def steady_flow(lab, sender, receiver, address, interval_us=1000, port=7200):
    """A datagram at each interval while the block runs, one way, the receiver silent; the block begins when the first has
    arrived. Yields a dictionary that has sent, received, lost and longest_ms after it, counted from that one to the last sent:
    a silence that lasts until the end is one.
    Errors: LabError when none arrives."""
    program = lab.dir / "steady"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", program, pathlib.Path(__file__).parent / "steady.c"], check=True, capture_output=True)
    count = receiver.spawn([program, "count", port], stdout=subprocess.PIPE)
    if count.stdout.readline().strip() != b"ready":
        raise LabError(f"{receiver.name}: port {port} is taken")
    send = sender.spawn([program, "send", address, port, interval_us], stdout=subprocess.PIPE)
    result = {}
    try:
        if not select.select([count.stdout], [], [], pace.deadline(FLOWS_WITHIN_S))[0]:
            raise LabError(f"{receiver.name}: nothing of {sender.name}'s flow to {address} arrived within {FLOWS_WITHIN_S} s")
        count.stdout.readline()
        yield result
    finally:
        words = []
        for child in (send, count):      # What is on its way when the sender ends is counted.
            child.terminate()
            words += child.stdout.read().split()
            child.wait()
    sent, received, first, last, longest = words
    silent_ms = (int(sent) - 1 - int(last)) * interval_us / 1000
    sent = int(sent) - int(first)
    result.update(sent=sent, received=int(received), lost=sent - int(received), longest_ms=max(float(longest), silent_ms))
