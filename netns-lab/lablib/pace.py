"""How fast this machine is: one factor for every deadline, because an emulated kernel is many times slower."""
import os

SLOWDOWN_ENV = "LAB_SLOWDOWN"       # set by whoever starts a lab inside the emulated machine


def factor():
    """1 on a real CPU."""
    return float(os.environ.get(SLOWDOWN_ENV, "1"))


def deadline(seconds):
    """A time within which something has to happen, on this machine."""
    return seconds * factor()
