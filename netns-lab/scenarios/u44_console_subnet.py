"""U44. A network of guests over the very subnet that the Console lives in, of each kind with a bridge of its own: tried out
and kept; the host keeps its paths, dials new ones, also after a restart, and takes the network away again by command. A
network whose gateway would have the Console's own address cuts every path, as a management address that is the Console's
does: refused, and by "force" taken back."""
from lablib.trial import end, push, taken_back

TOPOLOGY = "two"
CONSOLE = "203.0.113.13"
SHADOW = [{"op": "network.create", "network": "shadow", "kind": "nat", "subnet": "203.0.113.12/30"}]   # Its gateway: .13

MANAGED = [{"op": "host.set", "management": {"adapter": "eth0", "address": f"{CONSOLE}/24"}}]


def run(lab):
    lab.console.node.ip("addr", "add", f"{CONSOLE}/24", "dev", "eth0")
    lab.console.tunnel_addresses = [CONSOLE]
    for server in lab.servers.values():
        server.answer([CONSOLE])
    lab.start(active="eth0")
    lab.wait_paths()

    for owner, operations in (("a network", SHADOW), ("the host itself", MANAGED)):
        lab.step(f"the Console's own address for {owner}: refused, with the reason")
        record = end(lab, push(lab, operations))
        lab.check("refused, and why", record["state"] == "refused"
                  and f"holds {CONSOLE} of the Console" in str(record["problems"]) and "force" in str(record["problems"]), record)
        dry = lab.console.command(operations, dry_run=True)
        lab.check("a dry run says it", f"holds {CONSOLE} of the Console" in str(dry), dry)
        lab.step("by force: taken back, with the cause per path")
        said = str(taken_back(lab, operations, 10, force=True)["problems"])
        lab.check("both paths are named", all(f"path {port}/" in said for port in ("eth0", "eth1")), said)
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
    kept = [e for e in lab.host.events() if e["kind"] == "trial.kept"]
    lab.check("each was tried out", len(kept) == 4, kept)
