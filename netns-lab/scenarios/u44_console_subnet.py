"""U44. A network of guests over the very subnet that the Console lives in, of each kind with a bridge of its own: the host
keeps its paths, dials new ones, also after a restart, and takes the network away again by command."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    for kind in ("nat", "routed", "isolated", "open"):
        lab.step(kind)
        lab.console.must([{"op": "network.create", "network": "over", "kind": kind, "subnet": "203.0.113.0/24"}])
        lab.wait_paths()
        lab.host.kill()
        lab.host.start()
        lab.wait_paths()
        lab.check("the network is there", "over" in [n["network"] for n in lab.host.ctl("networks")])
        lab.console.must([{"op": "network.delete", "network": "over"}])
