"""Exactly once: kill -9 the daemon at random moments while commands flow. Each command has no effect or one, and says
which; the state at the end is the sum of those that are done."""
import random
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"
KILLS = 8


def run(lab):
    seed = int(time.time())
    lab.step(f"seed {seed}")
    chance = random.Random(seed)
    lab.start(active="eth0")
    lab.nat_interface()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.01) as stream:
        for _ in range(KILLS):
            lab.lasts(chance.uniform(0.3, 0.8))
            lab.host.kill()
            lab.host.start()
            lab.expect(20, "the host is back", lab.console.online)
        count = len(stream.replied())
        lab.expect(5, "commands flow again", lambda: len(stream.replied()) > count + 5)
    states = lab.settle(stream)
    rules = lab.rules()
    done = {f"r-{n}" for n, s in states.items() if s == "done"}
    unsure = {f"r-{n}" for n, s in states.items() if s == "indeterminate"}
    lab.figure("commands", len(states), "")
    lab.figure("indeterminate", len(unsure), "")
    lab.check("only done or indeterminate", set(states.values()) <= {"done", "indeterminate"},
              {n: s for n, s in states.items() if s not in ("done", "indeterminate")})
    lab.check("every done command has its effect", done <= rules, sorted(done - rules))
    lab.check("nothing else has one", rules <= done | unsure, sorted(rules - done - unsure))
    text = lab.host.node.run(["nft", "list", "table", "inet", "uplink"])
    missing = [rule for rule in rules if str(20000 + int(rule[2:])) not in text]
    lab.check("the kernel shows every rule", not missing, missing)
    lab.expect(5, "one DHCP client per port", lambda: sorted(map(len, lab.host.dhcp_clients().values())) == [1, 1])
