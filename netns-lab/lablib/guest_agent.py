"""Inside the emulated machine: runs what the host asks for and carries output, exit status and QMP requests.

One virtio-serial port, one JSON object per line. From the host: {"run": {"argv","cwd","env"}}, {"qmp_reply": ..., "id"}.
To the host: {"ready": {...}}, {"alive": s}, {"out": text}, {"err": text}, {"exit": status}, {"qmp": ..., "id"}.
Bytes travel as latin-1 text, so that any output survives."""
import contextlib
import json
import os
import pathlib
import queue
import socket
import subprocess
import sys
import threading

PORT_NAME = "uplink.lab"
SOCKET = "/run/uplink-machine.sock"     # where programs of the guest ask for a QMP command
ALIVE_EVERY_S = 2.0


class Agent:
    def __init__(self, fd):
        self._in = os.fdopen(os.dup(fd), "rb", buffering=0)
        self._fd = fd
        self._lock = threading.Lock()
        self._replies = {}
        self._ended = threading.Event()

    def send(self, message):
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._fd, data):]

    def uptime(self):
        return float(pathlib.Path("/proc/uptime").read_text().split()[0])

    def serve(self):
        threading.Thread(target=self._serve_qmp, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        self.send({"ready": {"kernel": os.uname().release, "up_s": self.uptime()}})
        buffer = b""
        while True:
            data = self._in.read(65536)
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._handle(json.loads(line))

    def _handle(self, message):
        if "run" in message:
            threading.Thread(target=self._run, args=(message["run"],), daemon=True).start()
        elif "qmp_reply" in message:
            self._replies.pop(message["id"]).put(message["qmp_reply"])

    def _beat(self):
        while not self._ended.wait(ALIVE_EVERY_S):
            self.send({"alive": self.uptime()})

    def _run(self, what):
        try:
            child = subprocess.Popen(what["argv"], cwd=what["cwd"], env=what["env"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            self.send({"err": f"{error}\n"})
            return self.send({"exit": 127})
        threads = [threading.Thread(target=self._carry, args=(stream, name))
                   for stream, name in ((child.stdout, "out"), (child.stderr, "err"))]
        for thread in threads:
            thread.start()
        status = child.wait()
        for thread in threads:
            thread.join(timeout=2)      # a background child may keep the pipe open for ever
        self.send({"exit": status if status >= 0 else 128 - status})

    def _carry(self, stream, name):
        while data := stream.read1(32768):
            self.send({name: data.decode("latin-1")})

    def _serve_qmp(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(SOCKET)
        listener.listen(8)
        for number in range(1 << 31):
            connection, _ = listener.accept()
            with connection:
                line = connection.makefile("rb").readline()
                if not line:
                    continue
                self._replies[number] = reply = queue.Queue()
                self.send({"qmp": json.loads(line), "id": number})
                answer = json.dumps(reply.get()).encode() + b"\n"
                with contextlib.suppress(OSError):      # Who asked was ended meanwhile.
                    connection.sendall(answer)


def find_port():
    for port in pathlib.Path("/sys/class/virtio-ports").glob("*"):
        if (port / "name").read_text().strip() == PORT_NAME:
            return f"/dev/{port.name}"
    sys.exit(f"lab: no virtio port {PORT_NAME}")


if __name__ == "__main__":
    Agent(os.open(find_port(), os.O_RDWR | os.O_CLOEXEC)).serve()
