"""U5. Pull all, wait, replug B: the Console has the host within 5 s of the lease, not after a back-off of a minute.

The wait of 10 minutes is 20 s here: back-off has passed 5 s by then."""

TOPOLOGY = "two"


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
