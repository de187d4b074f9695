"""What a service manager and an operator see of the daemon's life: ready, reloading, stopping (sd_notify(3)); a file with a mistake
is refused and the old configuration stays, until the next reload; SIGTERM in a reload ends it within 10 s."""
import os
import signal
import socket
import subprocess

TOPOLOGY = "two"


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "notify.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self.said = []

    def states(self):
        """First words of all that was said so far."""
        while True:
            try:
                self.said.append(self._socket.recv(4096).decode().split("=")[0])
            except BlockingIOError:
                return self.said

    def forget(self):
        self.states()
        self.said = []


def run(lab):
    manager = Manager(lab.dir)
    os.environ["NOTIFY_SOCKET"] = manager.path     # The lab starts the daemon with its own environment.
    try:
        life(lab, manager)
    finally:
        del os.environ["NOTIFY_SOCKET"]


def life(lab, manager):
    lab.start(active="eth0")
    lab.expect(10, "it says that it is ready", lambda: manager.states() == ["READY"])
    process, good = lab.host.daemon, lab.host.config_file.read_text()

    lab.step("a reload of a file with a mistake: refused, the old configuration stays")
    manager.forget()
    lab.host.config_file.write_text(good + '\n[log]\nlevel = "loud"\n' if "[log]" not in good
                                    else good.replace("level =", "levle ="))
    process.send_signal(signal.SIGHUP)
    lab.expect(20, "reloading, then ready", lambda: manager.states() == ["RELOADING", "READY"])
    lab.expect(20, "the host is back", lab.console.online)

    lab.step("the file is mended and reloaded: the same process goes on")
    manager.forget()
    lab.host.config_file.write_text(good)
    process.send_signal(signal.SIGHUP)
    lab.expect(20, "reloading, then ready", lambda: manager.states() == ["RELOADING", "READY"])
    lab.expect(20, "the host is back", lab.console.online)
    lab.check("it is the same process", process.poll() is None, process.returncode)

    lab.step("SIGTERM right behind a SIGHUP ends it")
    manager.forget()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    lab.expect(10, "it has ended, as asked", lambda: process.poll() == 0)
    lab.check("it said so", "STOPPING" in manager.states(), manager.said)
    lab.host.daemon = None
    for delay in (0.02, 0.1, 0.2, 0.4):
        lab.step(f"and {delay} s behind it: wherever the next life is by then")
        lab.host.start()
        process = lab.host.daemon
        process.send_signal(signal.SIGHUP)
        lab.lasts(delay)
        process.send_signal(signal.SIGTERM)
        lab.expect(15, "it has ended, as asked", lambda process=process: process.poll() is not None)
        lab.check("with 0", process.returncode == 0, process.returncode)
        lab.host.daemon = None

    lab.step("without a configuration: one line")
    program = str(lab.host.programs / "uplinkd")
    done = subprocess.run(lab.host.node.entry() + [program], capture_output=True, text=True)
    lab.check("usage", done.returncode == 2 and done.stderr.count("\n") == 1 and "--config FILE is required" in done.stderr,
              done.stderr)
