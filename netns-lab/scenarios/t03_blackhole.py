"""T3, T5. Active path swallows everything, both ways: commands pause 1 s at most, nothing lost; the cause shown is silence."""
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"
EXCLUSIVE = True


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    for number, way in enumerate(("both", "up", "down")):
        active = lab.host.active_port()
        lab.step(f"cut {active}, way: {way}")
        with CommandStream(lab.console, lambda n: [lab.publish(f"r-{n}-{number}", port=20000 + 1000 * number + n)],
                           interval_s=0.01) as stream:
            lab.expect(20, "commands flow", lambda: len(stream.replied()) > 50)
            moment = time.monotonic()
            lab.cut(active, way)
            lab.expect(3, "the tunnel is elsewhere", lambda: lab.host.active_port() not in (active, None))
            if way == "both":
                lab.expect(10, "the cause is silence", lambda: any(
                    w in str(lab.host.path(active)["cause"]) + str(lab.host.path(active).get("last_failure"))
                    for w in ("silen", "heartbeat", "no answer")))
            lab.lasts(0.3)
        states = lab.settle(stream)
        lab.check("every command is done", set(states.values()) == {"done"}, stream.states())
        gap = stream.gap_s(moment)
        lab.figure(f"gap_{way}", gap * 1000)
        lab.check("the pause is 1 s at most", gap <= 1.0, gap)
        lab.heal(active)
        lab.expect(15, f"{active} is standby", lambda: lab.host.path_states()[active] == "standby")
