"""What the demo prints: sections, and a table of ports that is redrawn on a terminal and printed once elsewhere."""
import os
import re
import shutil
import sys
import time

TTY = sys.stdout.isatty()
COLOUR = TTY and "NO_COLOR" not in os.environ
STATE_COLOURS = {"active": "32;1", "standby": "36", "dialing": "33", "suspect": "33", "down": "31"}
COLUMNS = (("PORT", 6), ("CARRIER", 8), ("ADDRESS", 19), ("PATH", 8), ("RTT", 9), ("WHAT IS BROKEN FIRST", 60))


def paint(text, code):
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR and code else text


def section(number, text):
    print(f"\n{paint(f'{number}. {text}', '1')}", flush=True)


def say(text):
    print(f"   {text}", flush=True)


def table_lines(host):
    """The ports and paths of a host as lines of a table."""
    lines = [paint("   " + "".join(name.ljust(width) for name, width in COLUMNS).rstrip(), "2")]
    for port in host.ctl("ports"):
        path = host.path(port["port"])
        state = path.get("state", "-")
        rtt = f"{path['rtt_ms']:.1f} ms" if path.get("rtt_ms") is not None and state in ("active", "standby") else ""
        broken = path.get("broken_step") or ""
        if state in ("active", "standby") or broken == "none":
            broken = ""
        elif state == "suspect" and not broken:
            broken = "nothing comes back"
        else:
            broken = ": ".join(filter(None, (broken, path.get("cause"))))
        cells = (port["port"], "yes" if port["carrier"] else "NO", port.get("address", "-"), state, rtt, broken)
        text = ""
        for (name, width), cell in zip(COLUMNS, cells):
            padded = str(cell)[:width].ljust(width)
            text += paint(padded, STATE_COLOURS.get(state) if name == "PATH" else "31" if cell == "NO" else None)
        lines.append("   " + text.rstrip())
    return lines


def cut(line, columns):
    """What of a line fits into so many columns. Colours take none, and their ends stay."""
    parts = []
    for part in re.split("(\x1b\\[[0-9;]*m)", line):
        if not part.startswith("\x1b"):
            part = part[:columns]
            columns -= len(part)
        parts.append(part)
    return "".join(parts)


class Live:
    """Shows the table while something goes on: redrawn in place on a terminal, once at the end elsewhere. On a terminal a
    line is cut to its width: one that wraps takes two rows, and the next picture would begin too low."""

    def __init__(self, host):
        self.host, self._drawn, self._next = host, 0, 0.0

    def tick(self, force=False):
        """Redraws, ten times a second at most. Call it from every waiting loop."""
        if not TTY or (time.monotonic() < self._next and not force):
            return
        self._next = time.monotonic() + 0.1
        columns = shutil.get_terminal_size().columns - 1
        lines = [cut(line, columns) for line in table_lines(self.host)]
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}F\x1b[J")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self._drawn = len(lines)

    def end(self):
        """Leaves the last picture standing."""
        if TTY:
            self.tick(force=True)
        else:
            print("\n".join(table_lines(self.host)), flush=True)
        self._drawn = 0
