"""How fast this machine is: one factor for every deadline, because an emulated kernel is many times slower."""
import os
import time

ASK_EMULATED_S = 0.2
SLOWDOWN_ENV = "LAB_SLOWDOWN"       # set by whoever starts a lab inside the emulated machine


def factor():
    """1 on a real CPU."""
    return float(os.environ.get(SLOWDOWN_ENV, "1"))


def deadline(seconds):
    """A time within which something has to happen, on this machine."""
    return seconds * factor()


def interval(seconds):
    """How long to wait between two questions. Under emulation a question costs some 30 ms of a CPU that the answer needs."""
    return deadline(seconds) if factor() == 1 else max(deadline(seconds), ASK_EMULATED_S)


def wait_until(predicate, within_s, interval_s=0.005):
    """Polls predicate until it is true; returns the seconds it took, or None."""
    start = time.monotonic()
    within_s, interval_s = deadline(within_s), interval(interval_s)
    while True:
        if predicate():
            return time.monotonic() - start
        if time.monotonic() - start > within_s:
            return None
        time.sleep(interval_s)
