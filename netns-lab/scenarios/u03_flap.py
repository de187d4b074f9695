"""U3. Flap A 20 times at 0.5 s: the tunnel stays on B, one switch at most, one DHCP client per port; no descriptor, process,
thread or memory is left of a flap."""

TOPOLOGY = "two"
FLAPS, FIRST = 20, 5        # what the daemon holds is counted from the end of the first ones on
GROWN_KIB = 4096
KEEPER = "uplink-dhcp-kee"          # comm has 15 characters


def run(lab):
    lab.host.keep_little_freed()
    lab.start(active="eth0")
    lab.wait_paths()
    lab.expect(5, "the default network is served", lambda: lab.host.children("dnsmasq"))
    before, keepers, usage = lab.events_arrived(), len(lab.host.children(KEEPER)), None
    lab.check("each port's client has a keeper", keepers >= 2, keepers)
    lab.step(f"{FLAPS} times: 0.25 s without, 0.25 s with carrier")
    left_b = []
    for number in range(FLAPS):
        usage = lab.host.usage() if number == FIRST else usage
        for change in (lab.pull, lab.plug):
            change("eth0")
            lab.lasts(0.25)
            left_b.append(lab.host.active_port())
    first_b = left_b.index("eth1")
    lab.check("the tunnel went to B with the first pull", first_b <= 1, left_b)
    lab.check("the tunnel stayed on B", set(left_b[first_b:]) == {"eth1"}, left_b)
    lab.expect(10, "A has a usable path again", lambda: lab.host.path_states().get("eth0") == "standby")
    switches = len(lab.switches(after=before))
    lab.figure("switches", switches, "")
    lab.check("there was one switch", switches == 1, lab.switches(after=before))
    lab.expect(5, "one DHCP client per port", lambda: sorted(map(len, lab.host.dhcp_clients().values())) == [1, 1])
    lab.expect(5, "no keeper more", lambda: len(lab.host.children(KEEPER)) == keepers)
    lab.check_no_growth(usage, GROWN_KIB, fds=3)
