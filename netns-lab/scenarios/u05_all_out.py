"""U5. Pull all, wait, replug B: the Console has the host within 5 s of the lease, not after a back-off of a minute. The same
where the outage began behind the routers: carrier stays, the host dials in vain, its back-off grows, then the cables are
pulled, and one is plugged in again.

The wait of 10 minutes is 20 s here: without carrier nothing is dialled and nothing grows. Of the back-off, which has 15 s at
most while no path is up, 8 s must be left when the cables are pulled: with a lease in 3 s it would take too long."""

TOPOLOGY = "two"
TIMEOUT_S = 420
GROWN_MS = 8000


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.step("pull both, wait 20 s")
    lab.pull("eth0")
    lab.pull("eth1")
    lab.expect(10, "the Console sees the host offline", lambda: not lab.console.online())
    lab.lasts(20)
    lab.step("plug B")
    lab.plug("eth1")
    lab.expect(10, "B has its lease", lambda: lab.host.port("eth1").get("state") == "leased")
    took = lab.expect(5, "the Console sees the host online", lab.console.online)
    lab.figure("lease_to_online", took * 1000)
    lab.expect(1, "over B", lambda: lab.host.active_port() == "eth1")

    lab.step("cut both, carrier stays: it tries more and more seldom")
    lab.plug("eth0")
    lab.wait_paths()
    for port in lab.topology.ports:
        lab.cut(port)
    lab.expect(10, "the Console sees the host offline", lambda: not lab.console.online())
    found = []
    lab.expect(240, f"a port waits for {GROWN_MS} ms and more", lambda: found.extend(
        p["port"] for p in lab.host.paths() if p.get("retry_in_ms", 0) > GROWN_MS) or found)
    port = found[0]
    lab.step(f"pull both, the routers forward again, plug {port}")
    for each in lab.topology.ports:
        lab.pull(each)
    lab.expect(10, f"{port} has lost its carrier", lambda: not lab.host.port(port)["carrier"])
    for each in lab.topology.ports:
        lab.heal(each)
    lab.plug(port)
    lab.expect(10, f"{port} has its lease", lambda: lab.host.port(port).get("state") == "leased")
    took = lab.expect(5, "the Console sees the host online", lab.console.online)
    lab.figure("lease_to_online_after_back_off", took * 1000)
