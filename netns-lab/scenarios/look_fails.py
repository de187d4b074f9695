"""A look at the kernel that fails is no empty machine: with no descriptor left to read it by, the daemon says so and touches
nothing; ports, clients, connections, guests and the session are those from before, and all goes on when it can look again."""
import subprocess
import time

from lablib.wires import answers

TOPOLOGY = "two"
DESCRIPTORS = 8      # All of the daemon's are above: none can be opened any more, those that are open work.


def limit(lab, descriptors):
    subprocess.run(["prlimit", "--pid", str(lab.host.daemon.pid), f"--nofile={descriptors}:"], check=True)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network()
    last = lab.events_arrived()
    before = {part: lab.host.picture()[part] for part in ("addresses", "routes", "rules", "nft")}
    clients, dials = lab.host.dhcp_clients(), {p["path"]: p["dials"] for p in lab.host.paths()}
    usual = max(lab.host.usage()["fds"] * 4, 1024)
    failed = lab.host.log().count("reconcile.refused")
    lab.step("no descriptor can be opened, and somebody makes a link")
    limit(lab, DESCRIPTORS)
    for number in range(3):
        lab.host.node.ip("link", "add", f"probe{number}", "type", "veth", "peer", "name", f"probe{number}p")
        lab.expect(10, "a look has failed", lambda n=number: lab.host.log().count("reconcile.refused") > failed + n)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        picture = lab.host.picture()
        lab.check("the kernel shows the same", all(picture[part] == before[part] for part in before),
                  {part: [picture[part], before[part]] for part in before if picture[part] != before[part]})
        lab.check("the clients are the same", lab.host.dhcp_clients() == clients, lab.host.dhcp_clients())
        lab.check("the Console has the host", lab.console.online())
    lab.check("the guest has its way out", answers(vm.node, "10.99.0.1"))
    lab.step("it can look again")
    limit(lab, usual)
    lab.expect(10, "it has looked", lambda: lab.host.ctl("status")["verified"])
    lab.check("its paths are those from before", {p["path"]: p["dials"] for p in lab.host.paths()} == dials, lab.host.paths())
    gone = [e for e in lab.host.events() if e["n"] > last and e["kind"] in (
        "port.removed", "path.down", "lease.lost", "session.detached", "network.trouble")]
    lab.check("nothing was given up", not gone, gone)
