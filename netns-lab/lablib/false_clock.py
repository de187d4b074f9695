"""A wall clock that only the daemon sees: wrong, set by somebody, refusing to be set. The machine's own is never touched: a
library in the daemon answers and takes what sets a clock (false_clock.c), and the lab's daemon has no CAP_SYS_TIME."""
import mmap
import pathlib
import struct
import subprocess
import time

LIBRARY = pathlib.Path(__file__).with_name("false_clock.c")
LAYOUT = struct.Struct("=qiiii")        # struct shared in false_clock.c


class FalseClock:
    """Pre: made before the host starts. Nothing synchronises it, and it may be set, until it is told otherwise."""

    def __init__(self, lab):
        library, shared = lab.dir / "false_clock.so", lab.dir / "false_clock"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wno-attributes", "-o", library, LIBRARY], check=True)
        shared.write_bytes(bytes(mmap.PAGESIZE))
        with open(shared, "r+b") as file:
            self._shared = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        lab.host.environment = {**lab.host.environment, "LD_PRELOAD": str(library), "FALSE_CLOCK": str(shared),
                                "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1"}

    def _read(self):
        return LAYOUT.unpack_from(self._shared, 0)

    def _field(self, number, value):
        fields = list(self._read())
        fields[number] = value
        LAYOUT.pack_into(self._shared, 0, *fields)

    def says(self, moment):
        """Somebody sets it to this many seconds since 1970."""
        self._field(0, int((moment - time.time()) * 1e9))

    def is_right(self):
        """Somebody sets it right."""
        self._field(0, 0)

    def synchronised(self, yes=True):
        self._field(1, int(yes))

    def refuses(self, yes=True):
        """It cannot be set by the daemon: EPERM."""
        self._field(2, int(yes))

    def error_s(self):
        """How far it is ahead of the machine's."""
        return self._read()[0] / 1e9

    def times_set(self):
        """By the daemon."""
        return self._read()[3]

    def times_refused(self):
        return self._read()[4]
