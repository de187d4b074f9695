"""U20. A is 30 s bad and 30 s good in turn, for ten minutes: two switches at most."""

TOPOLOGY = "two"
ON_DEMAND = True
TIMEOUT_S = 900
PHASE_S, ROUNDS = 30, 10


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    after = lab.events_arrived()
    for number in range(ROUNDS):
        lab.step(f"round {number + 1} of {ROUNDS}")
        lab.cut("a")
        lab.lasts(PHASE_S)
        lab.check("the tunnel is on B", lab.host.active_port() == "eth1", lab.host.path_states())
        lab.heal("a")
        lab.lasts(PHASE_S)
    switches = lab.switches(after)
    lab.figure("switches", len(switches), "")
    lab.check("two switches at most", len(switches) <= 2, switches)
