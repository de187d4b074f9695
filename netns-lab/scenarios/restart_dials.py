"""A daemon that comes back with stored leases dials when the routes of its ports stand, not before: no dial fails, no
name goes unanswered, the first WELCOME is there within a second."""

TOPOLOGY = "two"
RESTARTS = 8


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
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
        lab.check("no dial failed", "path.dial_failed" not in said and "dns_degraded" not in said, said[-3000:])
    lab.figure("slowest_first_welcome", slowest * 1000)
