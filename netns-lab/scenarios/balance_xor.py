"""L18. A group by balance-xor against a static aggregate of the switch: a guest's flows use both members, each may be
pulled, no path is lost before both are."""
from lablib import aggregates

TOPOLOGY = "bond"
NEEDS = "bond"


def run(lab):
    vm, _ = aggregates.make(lab, "balance-xor")
    aggregates.both_carry(lab, vm)
    aggregates.both_pulled(lab)
