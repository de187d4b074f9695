"""Points at which the daemon is killed: before each request that changes the kernel's network, each write, sync, truncation,
rename and deletion of its files, and each word to the Console (crashpoint.c)."""
import ctypes
import mmap
import subprocess

from .ns import LabError

SOURCE = __file__.replace("crashpoints.py", "crashpoint.c")
NAME_BYTES, NAMES = 48, 1024


class Board(ctypes.Structure):
    """As crashpoint.c has it."""
    _fields_ = [("armed", ctypes.c_uint), ("strike", ctypes.c_uint), ("passed", ctypes.c_uint), ("struck", ctypes.c_uint),
                ("names", ctypes.c_char * NAME_BYTES * NAMES)]


class CrashPoints:
    """Pre: made before the host starts."""

    def __init__(self, lab):
        library, file = lab.dir / "crashpoint.so", lab.dir / "crashpoints"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        file.write_bytes(bytes(ctypes.sizeof(Board)))
        self._file = open(file, "r+b")
        self._memory = mmap.mmap(self._file.fileno(), ctypes.sizeof(Board))
        self._board = Board.from_buffer(self._memory)
        lab.host.environment = {"LD_PRELOAD": str(library), "CRASHPOINTS": str(file),
                                "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}

    def arm(self, number):
        """From now on points count; before the number-th the daemon ends, before none for 0."""
        self._board.armed, self._board.passed, self._board.struck, self._board.strike = 0, 0, 0, number
        self._board.armed = 1

    def disarm(self):
        self._board.armed = 0

    def struck(self):
        return bool(self._board.struck)

    def name(self):
        """Of the last point. Errors: LabError when there are more than have room."""
        if self._board.passed >= NAMES:
            raise LabError(f"{self._board.passed} points: no room for their names")
        return bytes(self._board.names[self._board.passed]).split(b"\0")[0].decode()

    def passed(self):
        return self._board.passed
