"""U3. Flap A 20 times at 0.5 s: the tunnel stays on B, one switch at most, no fd or process leak, one DHCP client per port."""

TOPOLOGY = "two"
FLAPS = 20


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    before, usage = lab.events_arrived(), lab.host.usage()
    lab.step(f"{FLAPS} times: 0.25 s without, 0.25 s with carrier")
    left_b = []
    for _ in range(FLAPS):
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
    after = lab.host.usage()
    lab.check("no descriptor leaked", after["fds"] <= usage["fds"] + 3, [usage, after])
