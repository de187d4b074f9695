"""Ports with real NICs: virtio cards of the emulated machine, two on a cable, whose plugs QEMU pulls."""
import contextlib
import ctypes
import fcntl
import json
import pathlib
import socket
import struct

from . import needs, ns
from .guest_agent import SOCKET
from .hardware import device_arguments, far_mac, port_mac
from .ns import LabError
from .pace import wait_until

APPEARS_WITHIN_S = 5
MTU_BYTES = 1500
SIOCETHTOOL, ETHTOOL_SSET, DUPLEX_FULL, PORT_OTHER = 0x8946, 0x2, 0x1, 0xFF      # linux/sockios.h, linux/ethtool.h


def qmp(execute, **arguments):
    """One QMP command to the machine we run in; what it returns. Errors: LabError with QEMU's words."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        connection.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
        answer = json.loads(connection.makefile("rb").readline())
    if "error" in answer:
        raise LabError(f"QEMU: {execute} {arguments}: {answer['error']['desc']}")
    return answer["return"]


def here():
    """{permanent MAC: name} of the links in the machine's own namespace."""
    found = {}
    for link in pathlib.Path("/sys/class/net").iterdir():
        with contextlib.suppress(OSError):
            if (link / "device").exists():
                found[(link / "address").read_text().strip()] = link.name
    return found


def take(index, mac, name, netns):
    """Moves the NIC with this MAC out of the machine's own namespace and names it."""
    if wait_until(lambda: mac in here(), APPEARS_WITHIN_S, 0.02) is None:
        raise LabError(f"the machine has no NIC {mac} for port {index}: {here()}")
    ns.ip_batch([f"link set dev {here()[mac]} down", f"link set dev {here()[mac]} netns {netns} name {name}"])


def check(topology):
    if len(topology.ports) > needs.machine_ports():
        raise LabError(f"topology {topology.name} has {len(topology.ports)} virtio ports, this machine "
                       f"{needs.machine_ports()}: --kernel vm")


def set_cable(index, plugged):
    """Both plugs of a cable, as when it is pulled out of the host."""
    for end in ("nic", "far"):
        qmp("set_link", name=f"{end}{index}", up=plugged)


def set_speed(node, link, mbps):
    """What the card says its link runs at, by ETHTOOL_SSET (struct ethtool_cmd); virtio cards take any word for it."""
    settings = ctypes.create_string_buffer(struct.pack(
        "=IIIHBBBBBBIIHBBIII", ETHTOOL_SSET, 0, 0, mbps & 0xFFFF, DUPLEX_FULL, PORT_OTHER, 0, 0, 0, 0, 0, 0, mbps >> 16,
        0, 0, 0, 0, 0))
    request = struct.pack("16sP16x", link.encode(), ctypes.addressof(settings))
    with node.socket(kind=socket.SOCK_DGRAM) as ask:
        fcntl.ioctl(ask, SIOCETHTOOL, request)


def remove(index):
    """The card leaves the machine, with the kernel's knowledge."""
    qmp("device_del", id=f"nic{index}")


def insert(index):
    """The card comes back: same MAC, same slot. Pre: the kernel let go of it; QEMU does so a moment later."""
    wait_until(lambda: not present(index), APPEARS_WITHIN_S, 0.1)
    qmp("device_add", **device_arguments(index))


def present(index):
    return any(device.get("qdev_id") == f"nic{index}" for bus in qmp("query-pci") for device in devices(bus))


def devices(bus):
    """The cards on a PCI bus and on the busses behind its bridges."""
    for device in bus["devices"]:
        yield device
        if "bus" in device.get("pci_bridge", {}):
            yield from devices({"devices": device["pci_bridge"].get("devices", [])})


def give_back(ports):
    """All NICs are in the machine's own namespace again, as they were: plugged, down, without alias and addresses.
    Returns what did not come back. Pre: the lab's namespaces are deleted."""
    left = []
    for index in range(len(ports)):
        if not present(index):
            insert(index)
        set_cable(index, True)
        for mac, name in ((port_mac(index), f"nic{index}"), (far_mac(index), f"far{index}")):
            if wait_until(lambda mac=mac: mac in here(), APPEARS_WITHIN_S, 0.02) is None:
                left.append(f"NIC {mac} did not come back")
                continue
            now = here()[mac]
            pathlib.Path(f"/sys/class/net/{now}/ifalias").write_text("\n")
            ns.ip_batch([f"link set dev {now} down", f"link set dev {now} nomaster mtu {MTU_BYTES}"]
                        + ([f"link set dev {now} name {name}"] if now != name else []))
    return left
