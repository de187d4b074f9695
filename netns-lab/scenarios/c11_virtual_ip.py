"""C11. The virtual address of three hosts: one holder, away within 4 adverts when it dies or is unplugged, back by policy. The
holder's daemon may be stopped, killed and started again: the address stays, nobody notices. A purge gives it up."""
import re
import signal
import subprocess
import time

from lablib.cluster import Member, set_host
from lablib.ns import kill_by_pidfd

TOPOLOGY = "two"
EXCLUSIVE = True
TIMEOUT_S = 240
VIP = "192.168.1.50"
ADVERT_MS = 500
MANAGEMENT = {1: "192.168.1.11", 2: "192.168.1.12", 3: "192.168.1.13"}


def holders(members):
    return [number for number, host in members.items() if VIP in host.kernel_addresses("eth0")]


def die(lab, host, pull):
    """Power gone: nothing runs any more, no cable has a signal."""
    for port in ("eth0", "eth1"):
        pull(port)
    kill_by_pidfd([host.daemon.pid] + [pid for name in ("keepalived", "uplink-dhcp-kee", "dhcpcd", "dnsmasq")
                                       for pid in host.children(name)])
    host.daemon = None


def started(host):
    """How often its daemon took over the keepalived of the one before."""
    return host.log().count("keepalived.adopted")


def longest_silence_ms(text):
    """Of `ping -D`: the longest pause between two answers."""
    times = [float(t) for t in re.findall(r"^\[([0-9.]+)\] .* bytes from", text, re.M)]
    return max((b - a for a, b in zip(times, times[1:])), default=0.0) * 1000


def run(lab):
    lab.start()
    members = {1: lab.host, 2: Member(lab, 2, ["a", "b"]), 3: Member(lab, 3, ["a", "b"])}
    members[2].start()
    members[3].start()
    pulls = {1: lab.pull, 2: members[2].pull, 3: members[3].pull}
    lab.wait_paths()

    lab.step("give each a management address, a cluster and the virtual address")
    for number, host in members.items():
        set_host(host, management={"adapter": "eth0", "address": f"{MANAGEMENT[number]}/24", "gateway": "192.168.1.1",
                                   "dns": ["192.168.1.1"]},
                 virtual_ip=VIP, cluster={"id": 7, "priority": 200 - 50 * (number - 1), "advert_ms": ADVERT_MS,
                                          "hosts": list(MANAGEMENT.values())})
        lab.check(f"hv-0{number} has its management address",
                  MANAGEMENT[number] in host.kernel_addresses("eth0"), host.kernel_addresses("eth0"))
    lab.expect(15, "one host holds the virtual address", lambda: len(holders(members)) == 1)
    lab.expect(10, "the tunnel's path over the management address is usable",
               lambda: lab.host.path_states().get("eth0") in ("standby", "active"))
    first = holders(members)[0]
    lab.expect(5, "uplinkctl says who holds it", lambda: members[first].ctl("status")["virtual_ip"]["holder"] is True)

    watch = lab.client("a").spawn(["ping", "-D", "-n", "-i", "0.02", VIP], log="ping.log")
    lab.expect(5, "a client on the wire reaches it",
               lambda: "bytes from" in (lab.client("a").dir / "ping.log").read_text())
    within = 4 * ADVERT_MS / 1000 + 1     # Each look asks up to three hosts.

    lab.step(f"hv-0{first} holds it: its daemon is started again, after SIGTERM, SIGKILL and SIGHUP")
    host, log = members[first], lab.client("a").dir / "ping.log"
    served, heard, last = host.children("keepalived"), len(log.read_text()), host.events()[-1]["n"]
    for end in (host.stop, host.kill):
        end()
        lab.never(2, "it moved while no daemon ran", lambda: holders(members) != [first])
        host.start()
        lab.expect(20, "the daemon knows that it holds it", lambda: host.ctl("status")["virtual_ip"]["holder"])
    host.daemon.send_signal(signal.SIGHUP)
    lab.expect(20, "it began anew", lambda: started(host) == 3)
    lab.expect(20, "the daemon knows that it holds it", lambda: host.ctl("status")["virtual_ip"]["holder"])
    lab.never(2, "it moved", lambda: holders(members) != [first])
    lab.check("keepalived is the one from before", host.children("keepalived") == served, [served, host.children("keepalived")])
    lab.check("nothing is told that did not happen", not [e for e in host.events() if e["n"] > last
                                                          and e["kind"].startswith("virtual_ip.")])
    silence = longest_silence_ms(log.read_text()[heard:])
    lab.figure("restarts", silence)
    lab.check("no gap", silence < 2 * ADVERT_MS, silence)
    lab.wait_paths()

    lab.step(f"hv-0{first} holds it: its cable is pulled")
    start = time.monotonic()
    pulls[first]("eth0")
    lab.expect(within, "another host holds it", lambda: [h for h in holders(members) if h != first])
    lab.figure("unplugged", (time.monotonic() - start) * 1000)
    second = [h for h in holders(members) if h != first][0]
    lab.expect(2, "only one", lambda: holders(members) == [second])

    lab.step("plug it in again: it stays where it is")
    (lab.plug if first == 1 else members[first].plug)("eth0")
    lab.never(3, "a second holder, or it moved back", lambda: holders(members) != [second])

    lab.step(f"hv-0{second} dies")
    start = time.monotonic()
    die(lab, members[second], pulls[second])
    alive = {n: h for n, h in members.items() if n != second}
    lab.expect(within, "another host holds it", lambda: holders(alive))
    lab.figure("died", (time.monotonic() - start) * 1000)
    third = holders(alive)[0]
    lab.never(1, "two holders", lambda: len(holders(alive)) != 1)

    higher, = (n for n in alive if n != third)
    policy = {"id": 7, "priority": 250, "advert_ms": ADVERT_MS, "hosts": list(MANAGEMENT.values())}
    lab.step(f"hv-0{higher} comes before hv-0{third} from now on: nothing moves; with preempt it takes it")
    set_host(members[higher], cluster=policy)
    lab.never(3, "it moved", lambda: holders(alive) != [third])
    set_host(members[higher], cluster=policy | {"preempt": True})
    lab.expect(5, f"hv-0{higher} holds it", lambda: holders(alive) == [higher])
    watch.terminate()
    try:
        watch.wait(timeout=5)
    except subprocess.TimeoutExpired:
        kill_by_pidfd([watch.pid])
    lab.figure("longest_silence", longest_silence_ms((lab.client("a").dir / "ping.log").read_text()))
    lab.step("the holder is purged")
    holder, = holders(alive)
    purged = alive.pop(holder)
    purged.stop()
    lab.check("its keepalived goes on", purged.children("keepalived"))
    purged.purge()
    lab.check("it has ended, and the address with it", not purged.children("keepalived")
              and VIP not in purged.node.ip("address", "show"))
    lab.expect(within + 2, "another host holds it", lambda: holders(alive))

    lab.step("withdraw it: no host has it any more")
    for host in alive.values():
        set_host(host, virtual_ip=None)
    lab.expect(5, "nobody holds it", lambda: not holders(alive))
