"""Byte streams: a transfer both ways goes on at the exact byte when its cable is pulled, when its path falls silent, and
through 30 s with every cable out. A restart of the Console ends connections, not forwards."""
from lablib.product import HOST_ID
from lablib.streams import CheckedEnd, EchoStream, Forward, Listener, echo

TOPOLOGY = "two"
EXCLUSIVE = True
RATE = 2_000_000
OUTAGE_S = 30


def run(lab):
    lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022", "localhost:9023"]
    lab.start(active="eth0")
    lab.wait_paths()
    ends = []
    far = Listener(lab.host.node, 9022, lambda connection: ends.append(CheckedEnd(connection, RATE)))
    terminal = Listener(lab.host.node, 9023, echo)
    forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
    shell = Forward(lab.console, HOST_ID, "127.0.0.1:2223", "localhost:9023")
    near = CheckedEnd(forward.connect(), RATE)
    with far, terminal, near:
        lab.expect(5, "bytes flow both ways", lambda: ends and min(near.received, ends[0].received) > RATE)
        other = ends[0]
        outage(lab, near, other, "pull the active cable", "carrier", lambda: lab.pull("eth0"), 5)
        lab.plug("eth0")
        lab.wait_paths()
        active = lab.host.active_port()
        outage(lab, near, other, f"{active} falls silent", "cut", lambda: lab.cut(active), 5)
        lab.heal(active)
        lab.wait_paths()
        with EchoStream(shell.connect()) as keys:
            lab.expect(5, "the terminal echoes", lambda: len(keys.received) > 20)
            lab.check("both forwards have their connection", forward.show()["connections"] == 1
                      and shell.show()["connections"] == 1, (forward.show(), shell.show()))
        lab.expect(5, "its end is seen", lambda: shell.show()["connections"] == 0)
        lab.step(f"every cable is out for {OUTAGE_S} s")
        for port in ("eth0", "eth1"):
            lab.pull(port)
        # Silent paths are kept while nothing is heard from the host elsewhere: a queue of some seconds looks the same.
        lab.expect(15, "the Console sees the host offline", lambda: not lab.console.online())
        counted = near.received, other.received
        lab.lasts(OUTAGE_S)
        lab.check("nothing moved meanwhile", (near.received, other.received) == counted)
        lab.plug("eth1")
        back = lab.expect(20, "bytes flow again", lambda: near.received > counted[0] and other.received > counted[1])
        lab.figure("back_after_plug", back * 1000)
        lab.plug("eth0")
        near.finish()
        other.finish()
        lab.expect(30, "both ends have everything", lambda: near.ended.is_set() and other.ended.is_set())
        for name, end, peer in (("Console", near, other), ("host", other, near)):
            lab.check(f"the {name}'s end got each byte once, in order",
                      end.wrong_at is None and end.error is None and end.received == peer.sent,
                      (end.wrong_at, end.error, end.received, peer.sent))
        lab.figure("transferred", (near.received + other.received) / 1e6, "MB")
    restart(lab, forward)


def outage(lab, near, other, text, name, fault, within):
    """One fault under the running transfer; both directions go on."""
    lab.step(text)
    counted = near.received, other.received
    moment = near.moments[-1][0]
    fault()
    lab.expect(within, "both directions go on", lambda: near.received > counted[0] + RATE and other.received > counted[1] + RATE)
    lab.figure(f"gap_{name}_up", near.gap_s(moment) * 1000)
    lab.figure(f"gap_{name}_down", other.gap_s(moment) * 1000)


def restart(lab, forward):
    lab.step("restart the Console: the forward is there again, its connections are over")
    with Listener(lab.host.node, 9022, echo):
        with EchoStream(forward.connect()) as keys:
            lab.expect(5, "the terminal echoes", lambda: len(keys.received) > 20)
            lab.console.kill()
            lab.expect(5, "the connection is over", lambda: keys.error or not keys._threads[1].is_alive())
        lab.console.start()
        lab.expect(20, "the host is back", lab.console.online)
        lab.check("the forward is listed", forward.show()["state"] == "listening", forward.show())
        with EchoStream(forward.connect()) as keys:
            lab.expect(15, "a new connection works", lambda: len(keys.received) > 20)
        lab.check("it is deleted", forward.delete() == 204)
        lab.check("it is gone", lab.console.request("GET", f"{forward.path}/{forward.record['id']}")[0] == 404)
