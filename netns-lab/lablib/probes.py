"""Measurements shared by scenarios, demo and bench."""
import fcntl
import pathlib
import socket
import struct
import time

from . import pace
from .scenario import NotMet

SIOCGIFADDR = 0x8915


def kernel_address(query, interface):
    """The first IPv4 address of an interface, "" without one, by one ioctl. query: a datagram socket of the node."""
    try:
        answer = fcntl.ioctl(query, SIOCGIFADDR, struct.pack("16s24x", interface.encode()))
        return socket.inet_ntoa(answer[20:24])
    except OSError:
        return ""


def carrier_to_address_s(lab, port, within_s=10):
    """Plugs a port in and waits until its bridge has an address. Pre: unplugged, no address."""
    with lab.host.node.socket(kind=socket.SOCK_DGRAM) as query:
        bridge = lab.host.bridge(port)
        start = time.monotonic()
        lab.plug(port)
        while not kernel_address(query, bridge):
            if time.monotonic() - start > pace.deadline(within_s):
                raise NotMet(f"no address on {bridge} within {within_s} s of the carrier")
            time.sleep(0.001)
        return time.monotonic() - start


def cpu_ticks(pids):
    """User and system time of processes so far, in clock ticks (1/100 s)."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


def rss_kib(pid):
    """Resident memory of one process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
