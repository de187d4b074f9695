"""What a service manager and an operator see of the daemon's life: ready, reloading, stopping, alive (sd_notify(3)); a file
with a mistake is refused and the old configuration stays, until the next reload; SIGTERM in a reload ends it within 10 s.
A manager that does not read holds nothing up."""
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
        self.said, self.alive = [], 0

    def states(self):
        """First words of all that was said so far, but for those that only say that it is alive: they are counted."""
        while True:
            try:
                word = self._socket.recv(4096).decode().split("=")[0]
            except BlockingIOError:
                return self.said
            if word == "WATCHDOG":
                self.alive += 1
            else:
                self.said.append(word)

    def fill(self):
        """Nobody can send to it before it reads."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            try:
                while True:
                    other.sendto(b"FULL=1", self.path)
            except BlockingIOError:
                pass

    def forget(self):
        self.states()
        self.said, self.alive = [], 0


def run(lab):
    manager = Manager(lab.dir)
    # The lab starts the daemon with its own environment.
    os.environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"}
    try:
        life(lab, manager)
    finally:
        del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]


def life(lab, manager):
    lab.start(active="eth0")
    lab.expect(10, "it says that it is ready", lambda: manager.states() == ["READY"])
    process, good = lab.host.daemon, lab.host.config_file.read_text()
    manager.forget()
    lab.expect(20, "and goes on saying that it is alive", lambda: manager.states() == [] and manager.alive >= 4)

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
    manager.forget()
    lab.expect(20, "and is as alive as before", lambda: manager.states() == [] and manager.alive >= 4)

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

    lab.step("a manager that reads nothing for a while holds nothing up")
    manager.forget()
    manager.fill()
    lab.host.start()
    lab.expect(20, "the host is online", lab.console.online)
    manager.forget()
    lab.expect(10, "it hears that it is ready as soon as it reads", lambda: manager.states() == ["READY"])
    lab.host.stop()

    lab.step("without a configuration: one line")
    program = str(lab.host.programs / "uplinkd")
    done = subprocess.run(lab.host.node.entry() + [program], capture_output=True, text=True)
    lab.check("usage", done.returncode == 2 and done.stderr.count("\n") == 1 and "--config FILE is required" in done.stderr,
              done.stderr)
