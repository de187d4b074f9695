"""The lab's own verbs, as an engineer types them: a lab stays up, is asked, pulled, cut, lossy, healed and looked into, its programs killed,
stopped and started; a second
`up` of the same is no error; killed with SIGKILL it leaves nothing that the next `up` does not clear; after `down` there is
nothing of it, and a verb without a lab says what to type. A `run` that is ended by Ctrl-C or SIGTERM leaves nothing at all. The
demo's table fits into a terminal of 80 columns, and each picture takes the place of the one before."""
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

from lablib import pace
from lablib.hardware import port_mac
from lablib.network import NETNS_PREFIX, REGISTRY, instances
from lablib.ns import existing, processes_in
from lablib.product import REPOSITORY
from lablib.runner import stray_links

TOPOLOGY = "one"
INSTANCE = f"verbs{os.getpid()}"
TIMEOUT_S = 240
INTERRUPTED = "t60_versions"        # one uplink, and it takes long enough to be in its middle
COLUMNS = 80
PICTURES = """                     # what the demo draws: hosts of 1, 3 and 2 ports, what is broken there in many words
from lablib import screen
class Host:
    ports = 0
    def ctl(self, _):
        return [{"port": f"eth{n}", "carrier": n != 1, "address": "192.168.100.200/24"} for n in range(self.ports)]
    def path(self, port):
        good = {"state": "active", "rtt_ms": 1.5}
        return good if port == "eth0" else {"state": "down", "broken_step": "tcp", "cause": 20 * "no "}
live = screen.Live(Host())
for Host.ports in (1, 3, 2):
    live.tick(force=True)
live.end()
"""


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
    interrupted(lab, "Ctrl-C", lambda child: os.killpg(child.pid, signal.SIGINT), 130)     # A terminal's goes to all of them.
    interrupted(lab, "SIGTERM", lambda child: child.terminate(), 143)
    pictures(lab)


def interrupted(lab, what, end, status):
    """A `run` is ended in the middle of its scenario."""
    lab.step(f"{what} to a run")
    strays, found = stray_links(), set()
    # setpriv: it ends with us, also where we are killed.
    child = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", REPOSITORY / "netns-lab/lab", "run", INTERRUPTED, "--kernel",
                              "native", "--build", str(pathlib.Path(lab.programs).parent)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, start_new_session=True,
                             env={**os.environ, "LAB_LOGS": str(lab.dir / "interrupted")})
    try:
        def its():
            """The instance of the scenario: it belongs to a child of `lab run`."""
            for name, facts in instances().items():
                with contextlib.suppress(OSError):      # Another lab's, which has ended since.
                    if pathlib.Path(f"/proc/{facts['pid']}/stat").read_text().rsplit(")", 1)[1].split()[1] == str(child.pid):
                        found.add(name)
            return found

        lab.expect(30, "its scenario is there", its, interval=0.1)
        [name] = found
        lab.expect(30, "and runs the product", lambda: any("uplinkd" in pathlib.Path(f"/proc/{pid}/comm").read_text()
                   for pid in processes_in(existing(f"{NETNS_PREFIX}{name}-"))), interval=0.1)
        with contextlib.ExitStack() as held:    # A namespace without a name lives on with a process in it, and so we find that.
            spaces = {os.fstat(held.enter_context(open(f"/run/netns/{space}", "rb")).fileno()).st_ino
                      for space in existing(f"{NETNS_PREFIX}{name}-")}
            end(child)
            _, said = child.communicate(timeout=pace.deadline(60))
            lab.check(f"it ends with {status}", child.returncode == status, [child.returncode, said])
            left = [*existing(f"{NETNS_PREFIX}{name}-"), *pathlib.Path("/tmp").glob(f"ul-{name}-*"), *REGISTRY.glob(f"{name}.*"),
                    *alive_in(spaces), *(stray_links() - strays)]
            lab.check("no namespace, process, folder or link is left", not left, left)
    finally:
        child.terminate()
        child.communicate(timeout=pace.deadline(60))


def alive_in(spaces):
    """Pids of the processes in the network namespaces of these inodes."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.stat(f"/proc/{entry}/ns/net").st_ino in spaces:
                found.append(int(entry))
    return found


def pictures(lab):
    lab.step(f"the demo's table on a terminal of {COLUMNS} columns")
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    draw = {"args": [sys.executable, "-c", PICTURES], "env": {**environment, "PYTHONPATH": str(REPOSITORY / "netns-lab")},
            "timeout": pace.deadline(20), "check": True}
    ours, its = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        with os.fdopen(its, "wb") as end:
            fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, COLUMNS, 0, 0))
            subprocess.run(stdout=end, **draw)      # What it draws fits into the terminal's buffer.
        said = b""
        with contextlib.suppress(OSError):          # EIO: all is read, and nobody has the other end.
            while part := terminal.read(65536):
                said += part
    first, *more = re.split("\x1b\\[([0-9]+)F\x1b\\[J", said.decode())
    drawn = [first, *more[1::2]]
    rows = [re.sub("\x1b\\[[0-9;]*m", "", picture).splitlines() for picture in drawn]
    lab.check("a picture per change and one at the end, coloured", [len(picture) for picture in rows] == [2, 4, 3, 3]
              and "\x1b[" in first, rows)
    lab.check("each goes up by as many rows as the one before has", [int(up) for up in more[::2]] == [2, 4, 3], more[::2])
    widths = {len(row) for picture in rows for row in picture}
    lab.check("no row wraps; one was too long", max(widths) == COLUMNS - 1, widths)
    whole = subprocess.run(stdout=subprocess.PIPE, **draw).stdout.decode()
    lab.check("elsewhere it is whole and plain", max(map(len, whole.splitlines())) > COLUMNS and "\x1b" not in whole, whole)
