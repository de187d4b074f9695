"""What a kernel can do, found by trying it in a namespace; its version says nothing."""
import functools
import os
import subprocess

from .ns import LabError

VIRTIO = "virtio"                   # real NICs, whose cables QEMU pulls: only in the emulated machine
CLOCK = "clock"                     # a wall clock that is nobody else's and may be set: only in the emulated machine
PORTS_ENV = "LAB_MACHINE_PORTS"     # how many of them this machine has
KERNEL_ENV = "LAB_KERNEL"           # set in the emulated machine: the version of its kernel
PROBES = {
    "vlan": "ip link add one type veth peer name two && ip link add link one name three type vlan id 7",
    "bond": "ip link add one type bond mode active-backup miimon 100",
    "vlan_filtering": "ip link add one type bridge vlan_filtering 1 "
                      "&& grep -q 1 /sys/class/net/one/bridge/vlan_filtering",
    "netem": "tc qdisc add dev lo root netem delay 1ms",
    "dummy": "ip link add one type dummy",
    "vrf": "ip link add one type vrf table 7",
    "macvlan": "ip link add one type veth peer name two && ip link add link one name three type macvlan",
    "vxlan": "ip link add one type vxlan id 7 dstport 4789",
    "nft_queue": "nft 'add table inet one; add chain inet one two; add rule inet one two queue'",
}


def of(module):
    """What a scenario NEEDS, as a tuple: one name, several with blanks between them, or a list."""
    needs = getattr(module, "NEEDS", ())
    needs = tuple(needs.replace(",", " ").split()) if isinstance(needs, str) else tuple(needs)
    for need in needs:
        if need not in (VIRTIO, CLOCK) and need not in PROBES:
            raise LabError(f'NEEDS: unknown "{need}"; allowed: {" ".join([*PROBES, VIRTIO, CLOCK])}')
    return needs


@functools.cache
def has(need):
    """Whether the kernel under us has it."""
    if need == VIRTIO:
        return machine_ports() > 0
    if need == CLOCK:
        return KERNEL_ENV in os.environ
    script = "mount -t sysfs sysfs /sys && " + PROBES[need]
    return subprocess.run(["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True).returncode == 0


def kernel_name():
    """How results call the kernel under us: native, or Debian's version."""
    return os.environ.get(KERNEL_ENV, "native")


def missing(needs):
    return [need for need in needs if not has(need)]


def machine_ports():
    return int(os.environ.get(PORTS_ENV, "0"))
