#!/usr/bin/python3
"""Holds the house's rules: layers, purity of the core, ownership words. Each rule with its why."""
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROOMS = ("netmodel", "store", "dhcp", "tunnel", "uplink", "console")
ROOTS = ("uplink/main.cpp", "uplink/daemon/", "uplink/ctl/", "console/", "tests/", "netns-lab/", ".cmake/",
         "dhcp/programs/")

# What the core may not touch: a core that reads a clock or a socket cannot be driven by the simulation.
IMPURE = [
    (r'#\s*include\s*<(boost/asio|boost/beast|netlink|libnftnl|libmnl|openssl|sqlite3|spdlog|ares|iostream)', "does I/O"),
    (r'#\s*include\s*<(sys/|unistd|fcntl|poll|signal|pthread|thread|mutex|condition_variable|semaphore|future|filesystem|fstream)',
     "touches the system"),
    (r'(steady|system|high_resolution)_clock::now|clock_gettime|gettimeofday|\btime\(nullptr\)|\btime\(NULL\)',
     "reads a clock: time is a parameter"),
    (r'random_device|\brand\(\)|getrandom', "reads a random device: the generator is a parameter"),
    (r'\bgetenv\b', "reads the environment"),
    (r'#\s*include\s*"base/unique_fd\.hpp"', "owns a descriptor"),
]
EXEMPT = {"base/unique_fd.cpp": "the one place that closes a descriptor: every io room owns some, siblings share only base",
          "base/net.cpp": "inet_pton and inet_ntop are pure functions"}
# A wait for a duration in a test is either too short (flaky) or too long (slow): wait for the event.
WAITS = r'sleep_for|usleep\(|\bsleep [0-9]|time\.sleep\('
# lablib is the machinery that polls with deadlines behind expect(), or lets a measurement settle.
HOLES = r'\b(TODO|FIXME|XXX)\b|GTEST_SKIP|DISABLED_'


def files(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=TOP, capture_output=True,
                         text=True, check=True).stdout.split()
    return [f for f in out if (TOP / f).is_file()]


def room_of(path):
    first = path.split("/")[0]
    return first if first in ROOMS or first == "base" else None


def is_root(path):
    return path.startswith(ROOTS)


def check_includes(path, text, problems):
    room = room_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not found:
            continue
        target = found.group(1)
        other = room_of(target)
        where = f"{path}:{number}: includes {target}"
        if room == "base" and other != "base":
            problems.append(f"{where}: base is the lowest layer, it includes nothing above")
        if "/core/" in path and ("/io/" in target or is_root(target) and "/core/" not in target):
            problems.append(f"{where}: core never includes io: arrows point down")
        if other is None or is_root(path):
            continue
        if room in ROOMS and other in ROOMS and other != room and not target.startswith("netmodel/core/"):
            problems.append(f"{where}: rooms are siblings; only a composition root knows both")


def check_core(path, text, problems):
    if path in EXEMPT or not ("/core/" in path or path.startswith("base/") and "/io/" not in path):
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in IMPURE:
            if re.search(pattern, line.split("//")[0]):
                problems.append(f"{path}:{number}: core {why}: {line.strip()}")


def check_purpose(path, text, problems):
    """A newcomer reads the first line of each file."""
    first = text.lstrip().splitlines()[0] if text.strip() else ""
    if path.endswith(".hpp") and not first.startswith("//"):
        problems.append(f"{path}:1: a header starts with one line of purpose")


def check_event_kinds(problems):
    """What a Console may be told is written down: a kind of event that PROTOCOL.md does not name reaches nobody."""
    named = set(re.findall(r'`([a-z0-9_]+\.[a-z0-9_]+)`', (TOP / "tunnel/PROTOCOL.md").read_text()))
    for path in files("uplink/daemon/*.cpp", "uplink/core/takeover.*"):
        text = (TOP / path).read_text()
        for call in re.finditer(r'\badd\(|takeover_adapter =|push_back\(\{', text):
            first = text[call.end():].split("{", 1)[0].split(";", 1)[0]
            for kind in re.findall(r'"([a-z0-9_]+\.[a-z0-9_]+)"', first):
                if kind not in named:
                    problems.append(f"{path}: event {kind} is not in the table of tunnel/PROTOCOL.md, section 11")


# A check that finds nothing may be a check that looks at nothing: each of these has to be found.
BROKEN = [("base/x.cpp", '#include "store/core/records.hpp"'), ("tunnel/core/x.cpp", '#include "tunnel/io/dialer.hpp"'),
          ("tunnel/core/x.cpp", '#include "uplink/daemon/daemon.hpp"'), ("dhcp/io/x.cpp", '#include "store/io/store.hpp"'),
          ("store/core/x.cpp", "#include <mutex>"), ("uplink/core/x.cpp", "#include <boost/asio/io_context.hpp>"),
          ("base/x.cpp", "const auto now = std::chrono::steady_clock::now();"), ("netmodel/core/x.cpp", 'std::getenv("HOME");'),
          ("dhcp/core/x.cpp", "std::random_device seed;"), ("store/core/x.cpp", '#include "base/unique_fd.hpp"'),
          ("uplink/io/x.hpp", "#pragma once")]
SOUND = [("uplink/core/x.cpp", '#include "netmodel/core/model.hpp"'), ("uplink/daemon/x.cpp", '#include "store/io/store.hpp"'),
         ("store/io/x.cpp", "#include <mutex>"), ("base/x.cpp", "// std::chrono::steady_clock::now() is the caller's")]


def check_checks(problems):
    for sound, list_of in ((False, BROKEN), (True, SOUND)):
        for path, text in list_of:
            found = []
            for check in (check_includes, check_core, check_purpose):
                check(path, text, found)
            if bool(found) == sound:
                problems.append(f"tests/tidy/layers.py: {text!r} in {path}: {'found, and is sound' if sound else 'not found'}")


def main():
    problems = []
    check_checks(problems)
    check_event_kinds(problems)
    checked = 0
    for path in files("*.cpp", "*.hpp"):
        text = (TOP / path).read_text()
        check_includes(path, text, problems)
        check_core(path, text, problems)
        check_purpose(path, text, problems)
        checked += 1
    for path in files("tests/*", "netns-lab/scenarios/*"):
        if path.startswith("tests/tidy/") or path.endswith(".md"):
            continue
        for number, line in enumerate((TOP / path).read_text(errors="replace").splitlines(), 1):
            if re.search(WAITS, line):
                problems.append(f"{path}:{number}: waits for a duration; await the event: {line.strip()}")
    for path in files("*.cpp", "*.hpp", "*.py"):
        if path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate((TOP / path).read_text().splitlines(), 1):
            if re.search(HOLES, line):
                problems.append(f"{path}:{number}: a hole: {line.strip()}")
    for problem in problems:
        print(problem)
    print(f"{checked} files read")
    print(f"{0 if problems else 1} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
