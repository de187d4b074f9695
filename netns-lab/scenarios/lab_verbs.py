"""The lab's own verbs, as an engineer types them: a lab stays up, is asked, pulled, cut, lossy, healed and looked into, its programs killed,
stopped and started; a second
`up` of the same is no error; killed with SIGKILL it leaves nothing that the next `up` does not clear; after `down` there is
nothing of it, and a verb without a lab says what to type."""
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess

from lablib.hardware import port_mac
from lablib.network import NETNS_PREFIX, REGISTRY
from lablib.ns import existing, processes_in
from lablib.product import REPOSITORY

TOPOLOGY = "one"
INSTANCE = f"verbs{os.getpid()}"
TIMEOUT_S = 120


def run(lab):
    def type_in(*words, want=0):
        done = subprocess.run([REPOSITORY / "netns-lab/lab", *words], capture_output=True, text=True, timeout=60)
        lab.check(f"lab {' '.join(map(str, words))} ends with {want}", done.returncode == want,
                  [done.returncode, done.stdout[-600:], done.stderr[-600:]])
        return done.stdout + done.stderr

    here = ("--instance", INSTANCE)

    def up():
        return type_in("up", "two", "--build", str(pathlib.Path(lab.programs).parent), *here)

    def states():
        [facts] = [x for x in json.loads(type_in("status", "--json", *here)) if x["instance"] == INSTANCE]
        return {p["port"]: p["state"] for p in facts.get("paths", [])}

    def kill():
        holder = json.loads((REGISTRY / f"{INSTANCE}.json").read_text())["pid"]
        with os.fdopen(os.pidfd_open(holder), "rb") as ended:
            os.kill(holder, signal.SIGKILL)
            select.select([ended], [], [], 10)

    def nothing_left():
        left = [*existing(f"{NETNS_PREFIX}{INSTANCE}-"), *pathlib.Path("/tmp").glob(f"ul-{INSTANCE}-*"),
                *REGISTRY.glob(f"{INSTANCE}.*")]
        lab.check("nothing is left", not left, left)

    def running(part):
        """{pid: state letter of proc(5)} of the lab's processes whose command line has this part."""
        found = {}
        for pid in processes_in(existing(f"{NETNS_PREFIX}{INSTANCE}-")):
            with contextlib.suppress(OSError):
                proc = pathlib.Path(f"/proc/{pid}")
                if part in proc.joinpath("cmdline").read_text().replace("\0", " "):
                    found[pid] = proc.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0]
        return found

    said = type_in("pull", "eth0", *here, want=1)
    lab.check("a verb without a lab names it", INSTANCE in said, said)
    try:
        lab.step("up, twice")
        said = up()
        lab.check("it says what is up", INSTANCE in said and "two" in said, said)
        lab.check("the second says so and changes nothing", "already up" in type_in("up", "two", *here))
        lab.check("another topology under the same name is refused", "down" in type_in("up", "three", *here, want=1))
        lab.expect(20, "both paths are up", lambda: set(states().values()) == {"active", "standby"}, interval=0.2)
        lab.check("the status is for people, too", "eth0" in type_in("status", *here))
        lab.check("exec runs in a node", "lookup" in type_in("exec", *here, "hv", "ip", "rule"))
        said = type_in("exec", *here, "nowhere", "true", want=1)
        lab.check("a node that is none is named, with those there are", "nowhere" in said and "router-a" in said, said)
        lab.step("pull, plug, cut, loss, heal")
        type_in("pull", "eth0", *here)
        lab.expect(5, "A is down", lambda: states()["eth0"] == "down", interval=0.2)
        type_in("plug", "eth0", *here)
        type_in("cut", "eth1", "--one-way", "up", *here)
        lab.expect(30, "A carries", lambda: states() == {"eth0": "active", "eth1": "down"}, interval=0.2)
        type_in("loss", "b", "20", *here)
        type_in("heal", "b", *here)
        said = type_in("loss", "b", "120", *here, want=1)
        lab.check("a wrong value is named", "120" in said, said)
        said = type_in("pull", "eth7", *here, want=1)
        lab.check("a wrong port too, with those there are", "eth7" in said and "eth0" in said, said)
        lab.step("kill, stop, start")
        title = f"dhcpcd: br{port_mac(0).replace(':', '')} "
        client = set(running(title))
        type_in("kill", "eth0", *here)
        lab.expect(10, "the daemon replaces the client", lambda: (now := set(running(title))) and not now & client, interval=0.2)
        type_in("stop", "a", *here)
        lab.expect(2, "the DHCP server is stopped", lambda: "T" in running("--log-dhcp").values())
        type_in("start", "a", *here)
        lab.expect(2, "and goes on", lambda: "T" not in running("--log-dhcp").values())
        type_in("stop", "uplinkd", *here)
        lab.expect(2, "the daemon is stopped", lambda: "T" in running("uplinkd --config").values())
        type_in("start", "uplinkd", *here)
        lab.expect(20, "it goes on", lambda: "active" in states().values(), interval=0.2)
        type_in("kill", "uplink-console", *here)
        said = type_in("kill", "uplink-console", *here, want=1)
        lab.check("what does not run is said", "start uplink-console" in said, said)
        type_in("start", "uplink-console", *here)
        type_in("kill", "uplinkd", *here)
        type_in("start", "uplinkd", *here)
        lab.expect(30, "both paths are up", lambda: set(states().values()) == {"active", "standby"}, interval=0.2)
        said = type_in("kill", "cat", *here, want=1)
        lab.check("a wrong program too, with those there are", "cat" in said and "uplinkd" in said, said)
        lab.step("SIGKILL to the lab: up again clears it away first")
        kill()
        up()
        lab.expect(20, "both paths are up", lambda: set(states().values()) == {"active", "standby"}, interval=0.2)
        type_in("down", *here)
        nothing_left()
        lab.step("SIGKILL to another: down clears it away, and says that none was up")
        up()
        kill()
        said = type_in("down", *here, want=1)
        lab.check("it says so", INSTANCE in said, said)
        nothing_left()
    finally:
        subprocess.run([REPOSITORY / "netns-lab/lab", "down", *here], capture_output=True, timeout=60)   # Where a check failed.

