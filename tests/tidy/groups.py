#!/usr/bin/python3
"""Which files clang-tidy reads together: groups.py COMPILE_COMMANDS AT_ONCE FILE... prints a line per group: the flags,
a tab, the files. Files of a group have the same flags; neighbours, which share names most often, go to different groups."""
import json
import os
import sys


def flags_of(entry):
    skipped = ("-o", "-c", entry["output"] if "output" in entry else "")
    return " ".join(a for a in entry["command"].split()[1:] if a not in skipped and not a.endswith((".o", ".cpp")))


def main(database, at_once, files):
    by_file = {os.path.relpath(e["file"]): flags_of(e) for e in json.load(open(database))}
    by_flags = {}
    for file in files:
        if file not in by_file:
            sys.exit(f"{file}: no target of CMake compiles it; add it to one or delete it")
        by_flags.setdefault(by_file[file], []).append(file)
    for flags, members in by_flags.items():
        count = -(-len(members) // at_once)
        for first in range(count):
            print(flags, " ".join(members[first::count]), sep="\t")


main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
