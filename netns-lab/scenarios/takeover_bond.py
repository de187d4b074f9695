"""Taking over beside a foreign bond that holds a port, the machine's address and its default route (ifupdown): the port is
left there, the administrator's session lives on, the tunnel runs over the other port; released, it is taken."""
from lablib import held

TOPOLOGY = "two"
NEEDS = "bond"


def run(lab):
    held.run(lab, "bond", "mode", "active-backup", "miimon", "100")
