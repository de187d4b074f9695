"""Taking over a machine that is administered over IPv6: a permanent global address and its default route move to the bridge
in the order of IPv4, an SSH-like connection over it lives through the first start, a restart and the purge, and who pings it
hears no longer pause than over IPv4. Addresses of advertisements are not carried along: the bridge makes them again."""
import re
import socket

TOPOLOGY = "two"
PREFIX, OURS, NEAR, ROUTER, FAR = "2001:db8:5::/64", "2001:db8:5::9", "2001:db8:5::50", "2001:db8:5::1", "2001:db8:6::7"
PAUSE_S = 1.0


class Talk:
    """A connection that says a line every 50 ms and knows its longest silence: as an SSH session under a busy terminal."""

    def __init__(self, lab, client, listener, to):
        self.lab, self.near = lab, client.socket(socket.AF_INET6)
        self.near.settimeout(10)
        self.near.connect((to, 22))
        self.far, _ = listener.accept()
        self.far.settimeout(10)

    def alive(self, when):
        for a, b in ((self.near, self.far), (self.far, self.near)):
            a.sendall(b"still there?")
            self.lab.check(f"the administrator's session over IPv6 lives {when}", b.recv(100) == b"still there?")

    def close(self):
        self.near.close()
        self.far.close()


def longest_silence_s(text):
    times = [float(t) for t in re.findall(r"^\[([0-9.]+)\] .* bytes from", text, re.M)]
    return max((b - a for a, b in zip(times, times[1:])), default=99.0)


def run(lab):
    host, client, router = lab.host.node, lab.client("a"), lab.node("router-a")
    for node, link, address in ((client, "eth0", NEAR), (router, "lan", ROUTER)):
        node.sysctl(f"net/ipv6/conf/{link}/disable_ipv6", 0)
        node.ip("-6", "addr", "add", f"{address}/64", "dev", link, "nodad")
    router.sysctl("net/ipv6/conf/lo/disable_ipv6", 0)
    router.ip("-6", "addr", "add", f"{FAR}/128", "dev", "lo", "nodad")  # A machine behind the router.
    host.ip("link", "set", "eth0", "up")
    host.ip("-6", "addr", "add", f"{OURS}/64", "dev", "eth0")
    host.ip("-6", "route", "add", "default", "via", ROUTER, "dev", "eth0", "metric", "512")
    lab.expect(5, "the address is not tentative", lambda: "tentative" not in host.run(["ip", "-6", "addr"]))

    def answers(node, to):
        return " 0% packet loss" in node.run(["ping", "-6", "-c1", "-W1", to], check=False)

    lab.expect(5, "it answers", lambda: answers(client, OURS))
    lab.expect(5, "and reaches what is behind the router", lambda: answers(host, FAR))
    before = [(r["dst"], r.get("gateway"), r.get("metric")) for r in lab.host.kernel("-6", "route") if r.get("dev") == "eth0"
              and not r["dst"].startswith("fe80")]

    def where():
        return {x["ifname"] for x in lab.host.kernel("-6", "addr") for a in x["addr_info"] if a.get("local") == OURS}

    with host.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((OURS, 22))
        listener.listen(8)
        listener.settimeout(10)
        talks = [Talk(lab, client, listener, OURS)]
        ping = client.spawn(["ping", "-6", "-D", "-n", "-i", "0.05", OURS], log="ping6.log")

        def alive(when):
            for talk in talks:
                talk.alive(when)

        lab.step("first start")
        lab.start(active="eth0")
        alive("after the start")
        bridge = lab.host.port("eth0")["bridge"]
        lab.check("the address is on the bridge, and only there", where() == {bridge}, where())
        lab.check("usable, for ever, and of whom it was", all(
            a.get("valid_life_time", 0) == 2**32 - 1 and not a.get("tentative") and a.get("protocol") is None
            for x in lab.host.kernel("-6", "addr", "show", "dev", bridge) for a in x["addr_info"] if a.get("local") == OURS),
            lab.host.kernel("-6", "addr", "show", "dev", bridge))
        lab.check("the default route led on", answers(host, FAR), lab.host.kernel("-6", "route"))
        table = lab.host.port("eth0")["table"]
        lab.expect(5, "its answers leave by its port", lambda: any(
            r.get("src") == OURS and r.get("table") == str(table) for r in lab.host.kernel("-6", "rule")))
        [taken] = [e["data"] for e in lab.host.events() if e["kind"] == "takeover.adapter" and e["data"]["port"] == "eth0"]
        lab.check("it says that it takes it along", f"{OURS}/64" in taken["addresses"] and "IPv6" in taken["what"], taken)
        alive("after the rules came")
        lab.step("killed and started again: nothing moves")
        lab.host.kill()
        alive("while the daemon is away")
        lab.host.start()
        lab.expect(15, "the host is online", lab.console.online)
        talks.append(Talk(lab, client, listener, OURS))
        alive("after a restart")
        lab.check("the address is where it was", where() == {bridge}, where())
        lab.step("hand-back")
        lab.host.stop()
        lab.host.purge()
        alive("after the purge")
        lab.check("the address is on the adapter again", where() == {"eth0"}, where())
        after = [(r["dst"], r.get("gateway"), r.get("metric")) for r in lab.host.kernel("-6", "route")
                 if r.get("dev") == "eth0" and not r["dst"].startswith("fe80")]
        lab.check("with its routes", sorted(map(str, after)) == sorted(map(str, before)), [before, after])
        lab.expect(5, "it reaches what is behind the router", lambda: answers(host, FAR))
        lab.lasts(0.3)
        ping.terminate()
        ping.wait(timeout=5)
        silence = longest_silence_s((client.dir / "ping6.log").read_text())
        lab.figure("longest_silence", silence * 1000)
        lab.check("no pause that a person would notice", silence < lab.limit(PAUSE_S), silence)
        for talk in talks:
            talk.close()
