"""T24. The daemon is stopped for 5 s and continued: no path is reported as a network failure, commands go on."""
import signal

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    last = lab.events_arrived()
    lab.host.daemon.send_signal(signal.SIGSTOP)
    lab.lasts(5)
    lab.host.daemon.send_signal(signal.SIGCONT)
    took = lab.expect(5, "the Console sees the host online", lab.console.online)
    lab.figure("continue_to_online", took * 1000)
    lab.wait_paths(10)
    blamed = [e for e in lab.console.events(last) if e["kind"].startswith("path")
              and any(word in str(e["data"]) for word in ("gateway", "carrier"))]
    lab.check("no path is blamed on the network", not blamed, blamed)
