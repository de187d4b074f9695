"""Plays the part of QEMU: opens the host's tap, gives the VM's namespace the other end, carries frames between them.

usage: tap_pump TAP NETNS_FILE MAC   (runs in the host's namespace)"""
import fcntl
import os
import select
import struct
import subprocess
import sys

from lablib.ns import setns_net

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
FRAME_BYTES_MAX = 65536


def open_tap(name):
    """A tap of the current namespace: an existing persistent one, or a new one that lives as long as the fd. Frames carry
    the virtio header, as with QEMU; the same at both ends, so it is passed on unread."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return fd


def main():
    tap, netns_file, mac = sys.argv[1:4]
    if not os.path.exists(f"/sys/class/net/{tap}"):
        sys.exit(f"tap_pump: there is no tap {tap}")
    host_end = open_tap(tap)
    setns_net(os.open(netns_file, os.O_RDONLY))
    vm_end = open_tap("eth0")
    subprocess.run(["ip", "link", "set", "eth0", "address", mac, "up"], check=True)
    print("ready", flush=True)
    other = {host_end: vm_end, vm_end: host_end}
    poll = select.poll()
    for fd in other:
        poll.register(fd, select.POLLIN)
    while True:
        for fd, events in poll.poll():
            if events & (select.POLLERR | select.POLLHUP) and not events & select.POLLIN:
                sys.exit(0)        # the tap was deleted under us: the VM lost its NIC
            try:
                while True:
                    os.write(other[fd], os.read(fd, FRAME_BYTES_MAX))
            except BlockingIOError:
                continue
            except OSError as error:
                if not os.path.exists(f"/proc/self/fd/{fd}"):
                    sys.exit(str(error))


if __name__ == "__main__":
    main()
