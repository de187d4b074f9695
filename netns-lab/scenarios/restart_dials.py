"""A daemon that comes back takes nothing down: bridges and taps are the same links as before, routes and rules stay while
the stored leases are proven. It dials when the routes of its ports stand, not before: no dial
fails, no name goes unanswered, the first WELCOME is there within a second."""

TOPOLOGY = "two"
RESTARTS = 8


def run(lab):
    lab.host.settings["log"]["level"] = "debug"         # names every write to the kernel
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    before = links(lab)
    log = lab.host.node.dir / "uplinkd.log"
    slowest = 0
    for _ in range(RESTARTS):
        lab.host.stop()
        seen = log.stat().st_size
        lab.host.start()
        slowest = max(slowest, lab.expect(5, "a path is active", lab.host.active_port))
        lab.wait_paths()
        with log.open("rb") as file:
            file.seek(seen)
            said = file.read().decode()
        lab.check("every link is the one from before", links(lab) == before, [links(lab), before])
        writes = [line for line in said.splitlines() if "reconcile.write" in line]
        lab.check("the kernel was not written to", not writes, writes)
        lab.check("no dial failed", "path.dial_failed" not in said and "dns_degraded" not in said, said[-3000:])
    lab.figure("slowest_first_welcome", slowest * 1000)


def links(lab):
    """Every link of the host by its number: one that was made again has another."""
    return sorted((link["ifindex"], link["ifname"], link.get("master", "")) for link in lab.host.kernel("link"))
