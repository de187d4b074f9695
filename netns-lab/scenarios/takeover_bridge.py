"""Taking over beside a foreign bridge that holds a port, the machine's address and its default route (libvirt, Proxmox): the
port is left there, the administrator's session lives on, the tunnel runs over the other port; released, it is taken."""
from lablib import held

TOPOLOGY = "two"


def run(lab):
    held.run(lab, "bridge", "forward_delay", "0")
