"""A path of 1 Mbit/s with 100 MB of stream on it, both ways: a command's round trip stays within that of the idle path + 150 ms,
also behind a router that queues a second of traffic."""
import time

from lablib.product import HOST_ID
from lablib.streams import CheckedEnd, EchoStream, Forward, Listener, echo

TOPOLOGY = "one"
EXCLUSIVE = True
RATE = "1mbit"
COMMANDS = 60
MORE_S = 0.150
# Each command is five commits to two disks; one of a busy machine may take 100 ms, whatever the path does.
DISK_STALLS = 3
WORST_S = 0.6


def slow(lab):
    """Both directions of the uplink's router, with a queue of one second, as home routers have it."""
    router = lab.router(lab.topology.uplinks[0].name)
    for link in ("lan", "wan"):
        router.run(["tc", "qdisc", "replace", "dev", link, "root", "tbf", "rate", RATE, "burst", "3000", "latency", "1000ms"])


def round_trips(lab, first):
    """Seconds of COMMANDS successive commands, ascending."""
    times = []
    for number in range(COMMANDS):
        start = time.monotonic()
        record = lab.console.command([lab.publish(f"s-{first + number}", port=20000 + first + number)], dry_run=True, wait=20)
        lab.check("the command is done", record["state"] == "done", record)
        times.append(time.monotonic() - start)
        lab.lasts(0.05)
    return sorted(times)


def run(lab):
    lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022", "127.0.0.1:9023"]
    lab.start()
    lab.nat_interface()
    slow(lab)
    idle = round_trips(lab, 0)
    lab.step(f"the idle path: {idle[len(idle) // 2] * 1000:.0f} ms, worst {idle[-1] * 1000:.0f} ms")
    ends = []
    with Listener(lab.host.node, 9022, lambda connection: ends.append(CheckedEnd(connection))), \
            Listener(lab.host.node, 9023, echo):
        bulk = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
        shell = Forward(lab.console, HOST_ID, "127.0.0.1:2223", "127.0.0.1:9023")
        with CheckedEnd(bulk.connect(), send_bytes=100_000_000) as near:
            lab.expect(20, "bytes flow both ways", lambda: ends and near.received > 200_000 and ends[0].received > 200_000)
            counted, start = (near.received, ends[0].received), time.monotonic()
            busy = round_trips(lab, 1000)
            took = time.monotonic() - start
            for name, end, before in (("up", near, counted[0]), ("down", ends[0], counted[1])):
                lab.figure(f"stream_{name}", (end.received - before) * 8 / took / 1e6, "Mbit/s")
                lab.check("its bytes are right", end.wrong_at is None and end.error is None, (end.wrong_at, end.error))
            with EchoStream(shell.connect(), interval_s=0.2) as keys:
                lab.expect(30, "keys are echoed", lambda: len(keys.received) >= 25)
                waits = sorted(keys.received[n] - keys.sent[n] for n in list(keys.received))
            lab.figure("key_median", waits[len(waits) // 2] * 1000)
            lab.figure("key_worst", waits[-1] * 1000)
            for end in ends:
                end.stop()
    for name, values in (("idle", idle), ("busy", busy)):
        lab.figure(f"{name}_median", values[len(values) // 2] * 1000)
        lab.figure(f"{name}_worst", values[-1] * 1000)
    lab.check("the median stays within 150 ms of the idle path's", busy[len(busy) // 2] <= idle[len(idle) // 2] + lab.limit(MORE_S))
    lab.check(f"all but {DISK_STALLS} of {COMMANDS} stay within 150 ms of the idle path's worst",
              busy[-1 - DISK_STALLS] <= idle[-1] + lab.limit(MORE_S), busy[-5:])
    lab.check("no other waits for as much as a queue of the router", busy[-1] <= idle[-1] + lab.limit(WORST_S), busy[-5:])
    lab.check("the stream keeps going", lab.figures["stream_down"]["value"] > 0.6, lab.figures)
