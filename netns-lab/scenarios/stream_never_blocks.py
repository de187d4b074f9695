"""A path of 1 Mbit/s with 100 MB of stream on it, both ways: a command's round trip stays within that of the idle path + 150 ms,
also behind a router that queues a second of traffic."""
import time

from lablib.product import HOST_ID
from lablib.slow_path import judge, round_trips, slow
from lablib.streams import CheckedEnd, EchoStream, Forward, Listener, echo

TOPOLOGY = "one"
EXCLUSIVE = True


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
    judge(lab, idle, busy)
    lab.check("the stream keeps going", lab.figures["stream_down"]["value"] > 0.6, lab.figures)
