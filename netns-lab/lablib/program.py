"""A daemon of the product on a node: started until it answers, killed, stopped within what is promised, its log."""
import mmap
import os
import pathlib
import signal
import subprocess
import time

from . import pace
from .evidence import write_stacks
from .ns import LabError

START_WITHIN_S = 10
STOP_WITHIN_S = 10           # interfaces.md: uplinkd ends within 10 s after SIGTERM


class Program:
    """name: of the program and of its log. Its heirs say what it is configured with and when it answers."""

    def __init__(self, name, node, programs, config_file):
        self.name, self.node, self.programs = name, node, programs
        self.state, self.config_file = node.dir / "state", node.dir / config_file
        self.daemon = None
        self.environment = {"ASAN_OPTIONS": "detect_leaks=1"}
        self.entry = []          # what the program is started through

    def write_config(self):
        raise NotImplementedError

    def first_answer(self):
        """Asks it something; what it says. Errors: OSError: it does not listen yet."""
        raise NotImplementedError

    def start(self):
        """Starts it and waits until it answers; its first answer."""
        self.write_config()
        self.state.mkdir(exist_ok=True)
        self.daemon = self.node.spawn([*self.entry, self.programs / self.name, "--config", self.config_file],
                                      log=f"{self.name}.log", env=self.environment)
        deadline = time.monotonic() + pace.deadline(START_WITHIN_S)
        while True:
            try:
                return self.first_answer()
            except OSError:
                if self.daemon.poll() is not None:
                    raise LabError(f"{self.name} ended with {self.daemon.returncode}: {self.log_tail()}") from None
                if time.monotonic() > deadline:
                    raise LabError(f"{self.name} does not answer: {self.log_tail()}") from None
                time.sleep(0.005)

    def usage(self):
        """{"fds", "threads", "rss_kib"} of the daemon now."""
        proc = pathlib.Path(f"/proc/{self.daemon.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return {"fds": len(os.listdir(proc / "fd")), "threads": int(status["Threads"]),
                "rss_kib": int(status["VmRSS"].split()[0])}

    def keep_little_freed(self):
        """From the next start on. ASan keeps what was freed, up to 256 MiB: here 1 MiB, so that what grows is the daemon's."""
        self.environment["ASAN_OPTIONS"] += ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"

    def shows_its_memory(self):
        """Whether rss_kib grows with what the daemon holds alone: ThreadSanitizer's shadow of it grows by itself."""
        with open(self.programs / self.name, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
            return program.find(b"__tsan_init") < 0

    def kill(self):
        """kill -9: no chance to tidy up."""
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None

    def stop(self):
        """SIGTERM and wait. Errors: LabError when it takes longer than promised or ends with another status than 0."""
        self.daemon.send_signal(signal.SIGTERM)
        try:
            status = self.daemon.wait(pace.deadline(STOP_WITHIN_S))
        except subprocess.TimeoutExpired:
            write_stacks(self)
            raise LabError(f"{self.name} is still there {STOP_WITHIN_S} s after SIGTERM: {self.log_tail()}\n"
                           + (self.node.dir / "stacks.log").read_text()) from None
        if status != 0:
            raise LabError(f"{self.name} ended with status {status} after SIGTERM: {self.log_tail()}")
        self.daemon = None

    def running(self):
        return self.daemon is not None and self.daemon.poll() is None

    def log(self):
        path = self.node.dir / f"{self.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tail(self, lines=15):
        return "\n".join(self.log().splitlines()[-lines:])
