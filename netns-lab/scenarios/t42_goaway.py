"""T42. The Console asks its hosts to come again, then to come elsewhere: each new connection is up before the one that it follows is
closed. Session, byte stream and commands go on, and no path is ever down."""
import time

from lablib.product import HOST_ID
from lablib.streams import CheckedEnd, Forward, Listener
from lablib.traffic import CommandStream

TOPOLOGY = "twodoors"
SPREAD_S = 6
RATE = 500_000


def up(lab):
    """Paths that stand, as the host shows them: port, endpoint, how often it was dialled."""
    return sorted((p["port"], p["endpoint"]) for p in lab.host.paths() if p["state"] in ("active", "standby", "suspect"))


def downs(lab):
    return [e["data"] for e in lab.host.events() if e["kind"] == "path.down"]


def ups(lab):
    return [e["data"]["path"] for e in lab.host.events() if e["kind"] == "path.up"]


def ask(lab, **goaway):
    status, answer = lab.console.request("POST", "/api/v1/goaway", goaway)
    lab.check("one host was told", status == 202 and answer == {"hosts": 1}, (status, answer))


def run(lab):
    first, second = (f"{a}:{lab.topology.console_port}" for a in lab.topology.console_addresses)
    lab.host.settings["console"]["endpoints"] = [first]
    lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022"]
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    session, ends = lab.host.session(), []
    far = Listener(lab.host.node, 9022, lambda connection: ends.append(CheckedEnd(connection, RATE)))
    forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
    near = CheckedEnd(forward.connect(), RATE)
    with far, near, CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        lab.expect(20, "commands and bytes flow", lambda: len(stream.replied()) > 10 and ends and near.received > RATE)

        lab.step(f"come again, within {SPREAD_S} s")
        began, told, before = time.monotonic(), len(downs(lab)), len(ups(lab))
        ask(lab, spread_s=SPREAD_S)
        fewest = []
        def both_anew():
            fewest.append(len(up(lab)))
            return len(ups(lab)) == before + 2
        lab.expect(SPREAD_S + 5, "both paths have a new connection", both_anew)
        lab.check("at no time was one of the two away", min(fewest) == 2, fewest)
        lab.check("no path was down for it", len(downs(lab)) == told, downs(lab))
        lab.check("both lead where they did", up(lab) == [("eth0", first), ("eth1", first)], up(lab))
        gap = near.gap_s(began)
        lab.figure("stream_gap", gap * 1000)
        lab.check("the stream hardly noticed", gap < 1.0, gap)

        lab.step("come elsewhere, within 2 s; back after 15 s")
        began = time.monotonic()
        ask(lab, spread_s=2, try_for_s=15, endpoints=[second])
        fewest.clear()
        def elsewhere():
            fewest.append(len({port for port, _ in up(lab)}))
            return up(lab) == [("eth0", second), ("eth1", second)]
        took = lab.expect(10, "both paths lead to the other address, and none to the first", elsewhere)
        lab.figure("moved", took * 1000)
        lab.check("each port had a path all the time", min(fewest) == 2, fewest)
        lab.check("it is the same session", lab.host.session() == session, [session, lab.host.session()])
        lab.expect(30, "then the host's own address is used as well",
                   lambda: len(up(lab)) == 4 and ("eth0", first) in up(lab) and ("eth1", first) in up(lab))
        gap = near.gap_s(began)
        lab.figure("stream_gap_elsewhere", gap * 1000)
        lab.check("the stream went on", gap < 1.0 and near.wrong_at is None and near.error is None, (gap, near.error))
    lab.check_exactly_once(stream)
    lab.check("what was named is said", any(e["kind"] == "console.offered" and e["data"]["endpoints"] == [second]
                                            for e in lab.host.events()))
    status, answer = lab.console.request("POST", "/api/v1/goaway", {"endpoints": ["x"], "spread_s": -1})
    lab.check("nonsense is named, all of it", status == 422 and len(answer["problems"]) == 2, (status, answer))
