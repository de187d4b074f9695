"""A program that knows its netlink messages by heart: the floor for what the product does with VLANs of a bridge's port,
and how long somebody else waits for the kernel's one rtnl lock meanwhile."""
import contextlib
import socket
import struct
import threading
import time

from .ns import LabError, ip_batch

NETLINK_ROUTE, RTM_SETLINK, RTM_DELLINK, NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 0, 19, 17, 1, 4, 2    # linux/rtnetlink.h
AF_BRIDGE, IFLA_AF_SPEC, IFLA_BRIDGE_VLAN_INFO = 7, 26, 2                                              # linux/if_bridge.h
RANGE_BEGIN, RANGE_END = 8, 16
RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE, NLM_F_DUMP, NLMSG_DONE = 18, 22, 26, 34, 0x300, 3
IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED, RTEXT_FILTER_SKIP_STATS = 29, 4, 8


class Rtnl:
    """One socket in a node. Threads: one at a time."""

    def __init__(self, node):
        with node.inside():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)

    def close(self):
        self._socket.close()

    def set_vlans(self, index, first, last, add=True):
        """VLANs first..last of the bridge's port `index`, tagged, in one message. Errors: LabError."""
        infos = [(0, first)] if first == last else [(RANGE_BEGIN, first), (RANGE_END, last)]
        inner = b"".join(struct.pack("=HHHH", 8, IFLA_BRIDGE_VLAN_INFO, flags, vid) for flags, vid in infos)
        body = struct.pack("=BxHiII", AF_BRIDGE, 0, index, 0, 0) + struct.pack("=HH", 4 + len(inner), IFLA_AF_SPEC) + inner
        kind = RTM_SETLINK if add else RTM_DELLINK
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        answer = self._socket.recv(4096)
        _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", answer)
        if kind != NLMSG_ERROR or error:
            raise LabError(f"VLANs {first}..{last} of link {index}: error {-error}")


    def dump(self, kind, family=0, mask=0):
        """Reads a whole dump of one kind, unread: (messages in bytes). mask: of IFLA_EXT_MASK, for links."""
        body = struct.pack("=BxHiII", family, 0, 0, 0, 0) + (struct.pack("=HHI", 8, IFLA_EXT_MASK, mask) if mask else b"")
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        total = 0
        while True:
            data = self._socket.recv(1 << 18)
            total += len(data)
            at = 0
            while at < len(data):
                length, message = struct.unpack_from("=IH", data, at)
                if message in (NLMSG_ERROR, NLMSG_DONE):
                    return total
                at += (length + 3) & ~3

    def dump_all(self):
        """What a turn that finds nothing to do has to read at least: links, VLANs, addresses, routes, rules."""
        self.dump(RTM_GETLINK, mask=RTEXT_FILTER_SKIP_STATS)
        self.dump(RTM_GETLINK, AF_BRIDGE, RTEXT_FILTER_BRVLAN_COMPRESSED)
        for family in (socket.AF_INET, socket.AF_INET6):
            for kind in (RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE):
                self.dump(kind, family)


def noisy_link(node):
    """A link "noise" of which each change says 5 KiB: all of its names. Returns lines for ip_batch, changes of it that are more
    than the daemon's socket holds while nobody reads (8 MiB: two thousand)."""
    ip_batch(["link add noise type bridge"] + [f"link property add dev noise altname n{n:03}-{'x' * 115}" for n in range(24)],
             node.netns)
    return [f"link set dev noise mtu {1400 + n % 2}" for n in range(2500)]


@contextlib.contextmanager
def others_wait(node):
    """While the block runs, somebody else writes to a link of another namespace, one write after the other; yields a
    dictionary that has worst_ms, the longest that one took, after the block. Every such write takes the rtnl lock."""
    result, stop = {"worst_ms": 0.0, "writes": 0}, threading.Event()

    def write():
        while not stop.is_set():
            begun = time.monotonic()
            node.set_link("lo", True)
            result["worst_ms"] = max(result["worst_ms"], (time.monotonic() - begun) * 1000)
            result["writes"] += 1

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield result
    finally:
        stop.set()
        thread.join(timeout=30)
