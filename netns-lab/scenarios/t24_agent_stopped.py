"""T24. The daemon is stopped for 5 s and continued: it says that it stood still, no path is given up by it, and none is ever
reported as a failure of the network; every command is done, once."""
import signal

from lablib.traffic import CommandStream

TOPOLOGY = "two"
# What the Console gives up while it hears nothing for 5 s is not the host's to prevent; it says it in words of its own.
NOT_OF_THE_NETWORK = {"local_stall"}


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    last = lab.events_arrived()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        lab.expect(10, "commands flow", lambda: len(stream.replied()) > 20)
        lab.host.daemon.send_signal(signal.SIGSTOP)
        lab.lasts(5)
        lab.host.daemon.send_signal(signal.SIGCONT)
        took = lab.expect(5, "the Console sees the host online", lab.console.online)
        lab.figure("continue_to_online", took * 1000)
        answered = len(stream.replied())
        lab.expect(10, "commands flow again", lambda: len(stream.replied()) > answered + 20)
    lab.settle(stream)
    lab.check_exactly_once(stream)
    lab.wait_paths(10)
    lab.events_arrived()
    told = lab.console.events(last)
    stalls = [e["data"] for e in told if e["kind"] == "local.stall"]
    lab.check("the host says that it stood still for 5 s", any(e["late_ms"] > 4000 for e in stalls), stalls)
    downs = [e["data"] for e in told if e["kind"] == "path.down"]
    blamed = [d for d in downs if not d.get("by_peer") and d["cause"] not in NOT_OF_THE_NETWORK]
    lab.check("it gives no path up but for that", not blamed, blamed)
    blamed = [e for e in told if e["kind"].startswith("path") and any(word in str(e["data"]) for word in ("gateway", "carrier"))]
    lab.check("no path is blamed on the network", not blamed, blamed)
