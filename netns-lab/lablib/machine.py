"""The emulated machine: QEMU without hardware help (TCG) under a stock Debian kernel, on the host's own files."""
import contextlib
import json
import os
import pathlib
import select
import socket
import subprocess
import time

from . import guest_kernel, hardware
from .ns import LabError

BOOT_TIMEOUT_S = 600         # 3 s on an idle machine; 233 s seen with a thirtieth of a core
SILENCE_TIMEOUT_S = 120      # the agent gives a sign of life every 2 s
MEMORY_MIB = 2048
PROGRESS_EVERY_S = 5.0


class Machine:
    """One guest. Pre: used from one thread. Invariant: QEMU dies with this process, and with stop()."""

    def __init__(self, share, ports=0, say=print):
        """share: folder of the host that the guest can write to, at the same path. ports: cables with virtio NICs."""
        self.share, self.ports, self.say = pathlib.Path(share).resolve(), ports, say
        self.serial = self.share / "serial.log"
        self.boot_s = 0.0
        self.kernel = None
        self._process = self._agent = self._qmp = self._qmp_lines = None
        self._buffer = b""

    # -- life ---------------------------------------------------------------------------------------------------------
    def start(self):
        """Boots; returns when the guest takes commands. Errors: LabError with the last lines of the serial log."""
        self.kernel = guest_kernel.ready(self.say)
        self.share.mkdir(parents=True, exist_ok=True)
        self.serial.unlink(missing_ok=True)
        self._agent, agent = socket.socketpair()
        self._qmp, qmp = socket.socketpair()
        start = time.monotonic()
        with open(self.share / "qemu.log", "wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command(agent.fileno(), qmp.fileno())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[agent.fileno(), qmp.fileno()],
                start_new_session=True)
        agent.close()
        qmp.close()
        self.say(f"Booting Debian's {self.kernel.version} under QEMU ...")
        facts = self._wait_ready(start)
        self.boot_s = time.monotonic() - start
        self.say(f"Kernel {facts['kernel']} is up after {self.boot_s:.1f} s")
        return self

    def _command(self, agent_fd, qmp_fd):
        if any(c.isspace() for c in f"{guest_kernel.GUEST}{self.share}"):
            raise LabError(f"{guest_kernel.GUEST}, {self.share}: a path with blanks does not fit a kernel's command line")
        append = (f"console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no_timer_check nowatchdog net.ifnames=0 "
                  f"lab.start={guest_kernel.GUEST}/start lab.modules={self.kernel.modules} lab.share={self.share}")
        command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem,+rdrand",
                   "-smp", "2", "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none",
                   "-no-reboot", "-nic", "none", "-serial", f"file:{self.serial}",
                   "-kernel", str(self.kernel.vmlinux), "-initrd", str(self.kernel.initrd), "-append", append,
                   "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
                   "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
                   "-fsdev", f"local,id=share,path={self.share},security_model=none,multidevs=remap",
                   "-device", "virtio-9p-pci,fsdev=share,mount_tag=share", "-device", "virtio-rng-pci",
                   "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={agent_fd}",
                   "-device", "virtserialport,chardev=agent,name=uplink.lab",
                   "-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"]
        for index in range(self.ports):
            command += hardware.cable(index)
        return command

    def _wait_ready(self, start):
        said = start
        while True:
            message = self._receive(1.0)
            if message and "ready" in message:
                return message["ready"]
            now = time.monotonic()
            if now - start > BOOT_TIMEOUT_S:
                raise LabError(f"the guest did not boot within {BOOT_TIMEOUT_S} s: {self.last_words()}")
            if now - said > PROGRESS_EVERY_S:
                said = now
                self.say(f"  ... booting for {now - start:.0f} s")

    def stop(self):
        """Ends QEMU, whatever the guest does."""
        if self._process and self._process.poll() is None:
            self._process.kill()
        if self._process:
            self._process.wait()
        for end in (self._agent, self._qmp):
            if end:
                end.close()
        self._process = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exception):
        self.stop()

    def last_words(self):
        """The end of the serial console and of QEMU's own output."""
        text = ""
        for path in (self.share / "qemu.log", self.serial):
            with contextlib.suppress(OSError):
                text += "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        return text.strip() or "no word on the serial console"

    # -- work ---------------------------------------------------------------------------------------------------------
    def run(self, argv, out, err, cwd=None, env=None, timeout_s=None):
        """Runs a program in the guest to its end; out and err take its bytes as they come. Returns its exit status.

        Errors: LabError when the guest falls silent or goes away, or when timeout_s is over."""
        self._send({"run": {"argv": [str(a) for a in argv], "cwd": str(cwd or os.getcwd()),
                            "env": {**os.environ, **(env or {})}}})
        heard = start = time.monotonic()
        while True:
            message = self._receive(1.0)
            now = time.monotonic()
            if message:
                heard = now
                if "exit" in message:
                    return message["exit"]
                self._deliver(message, out, err)
            if now - heard > SILENCE_TIMEOUT_S:
                raise LabError(f"the guest gave no sign of life for {SILENCE_TIMEOUT_S} s: {self.last_words()}")
            if timeout_s and now - start > timeout_s:
                raise LabError(f"the guest's program did not end within {timeout_s:.0f} s: {self.last_words()}")

    def _deliver(self, message, out, err):
        for key, take in (("out", out), ("err", err)):
            if key in message:
                take(message[key].encode("latin-1"))
        if "qmp" in message:
            try:
                answer = self.qmp(message["qmp"])
            except (OSError, ValueError) as error:      # One scenario fails of it, not the machine.
                answer = {"error": {"desc": str(error)}}
            self._send({"qmp_reply": answer, "id": message["id"]})

    def _send(self, message):
        try:
            self._agent.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise LabError(f"the guest went away: {self.last_words()}") from None

    def _receive(self, within_s):
        """The agent's next message, None when none came in time. Errors: LabError when the guest is gone."""
        while b"\n" not in self._buffer:
            if not select.select([self._agent], [], [], within_s)[0]:
                if self._process.poll() is not None:
                    raise LabError(f"QEMU ended with status {self._process.returncode}: {self.last_words()}")
                return None
            data = self._agent.recv(1 << 16)
            if not data:
                self._process.wait(5)
                raise LabError(f"the guest went away: {self.last_words()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    # -- hardware -----------------------------------------------------------------------------------------------------
    def qmp(self, command):
        """One QMP command, {"execute": ..., "arguments": ...}; QEMU's answer, {"return": ...} or {"error": ...}."""
        if self._qmp_lines is None:
            self._qmp.settimeout(100)
            self._qmp_lines = self._qmp.makefile("rb")
            self._qmp_lines.readline()                       # the greeting
            self._ask_qmp({"execute": "qmp_capabilities"})
        return self._ask_qmp(command)

    def _ask_qmp(self, command):
        self._qmp.sendall(json.dumps(command).encode() + b"\n")
        while True:
            answer = json.loads(self._qmp_lines.readline())
            if "event" not in answer:
                return answer


def run_command(argv, share, ports=0):
    """`lab vm`: one program in a guest of its own; its output to ours, its exit status returned."""
    def say(text):
        os.write(2, f"{text}\n".encode())
    with Machine(share, ports, say) as machine:
        return machine.run(argv, lambda data: write_all(1, data), lambda data: write_all(2, data))


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]
