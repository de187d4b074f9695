"""`lab bench`: figures against their references, measured in the same run."""
import json
import pathlib
import subprocess
import sys

from . import bench_dhcp as dhcp
from .bench_figures import progress
from .bench_gaps import (EFFECTS, FAULTS, PROBES, STREAM_FAULTS, build_probes, measure_effects, measure_gaps,
                         measure_stream_gaps)
from .bench_rest import (measure_commands, measure_goodput, measure_idle, measure_sixteen, measure_start,
                         measure_thousand, measure_vlans)
from .ns import LabError
from .product import REPOSITORY
from .scenario import NotMet


def measure_failover(programs, runs):
    """The product and its rivals, fault by fault. Minutes per run."""
    from . import bench_failover
    return bench_failover.measure(programs, runs)


VLANS = ("vlan.create_1000", "vlan.create_4093", "vlan.add_one", "vlan.delete_one", "vlan.dump_1000",
         "vlan.delete_4093_others_wait", "vlan.create_100_against_bridges")
ON_DEMAND = ("failover", "thousand", *VLANS)   # minutes, or another kernel: only when they are named
OTHERS = {"failover": (measure_failover, 20), EFFECTS: (measure_effects, 4),     # what measures it, runs at most
          "start.first_welcome": (measure_start, 10), "start.sixteen_ports": (measure_sixteen, 3), "dhcp.carrier_to_address": (dhcp.measure_carrier, 7),
          "dhcp.replug_server_dead": (dhcp.measure_replug, 7), "dhcp.server_returns": (dhcp.measure_return, 7),
          "dhcp.sixteen_leases": (dhcp.measure_sixteen_leases, 7),
          "commands.rate": (measure_commands, 3), "tunnel.goodput": (measure_goodput, 3),
          "idle.rss": (measure_idle, 1), "idle.cpu": (measure_idle, 1), "thousand": (measure_thousand, 1),
          **{name: (measure_vlans, 1) for name in VLANS}}


def run_programs(programs, wanted):
    """The bench programs beside the product print figures as JSON lines."""
    entries = []
    for program in sorted(programs.glob("bench_*")):
        if program.name in PROBES:
            continue
        progress(f"running {program.name}")
        done = subprocess.run([program], capture_output=True, text=True, timeout=300)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        entries += [e for e in lines if "figure" in e and (not wanted or matches(e["figure"], wanted))]
        if done.returncode != 0:
            raise LabError(f"{program.name}: exit {done.returncode}: {done.stderr[-500:]}")
    return entries


def matches(name, wanted):
    return any(name == w or name.startswith(w + ".") for w in wanted)


def run(programs, wanted, runs, json_file):
    """Measures the wanted figures (none named: all), prints a table, writes JSON. Exit status 1 if one could not be measured
    or is beyond what it must reach; a target that is only wished for is said to be missed."""
    known = list(FAULTS) + list(STREAM_FAULTS) + list(OTHERS)
    entries, failures = [], []

    def attempt(text, measure, *arguments):
        try:
            entries.extend(measure(*arguments))
        except (NotMet, LabError, OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{text}: {error}")

    chosen = [n for n in known if (matches(n, wanted) if wanted else n not in ON_DEMAND)]
    gaps = [n for n in chosen if n in FAULTS]
    stream_gaps = [n for n in chosen if n in STREAM_FAULTS]
    if any(n in FAULTS or n in STREAM_FAULTS or n in ("failover", "commands.rate", EFFECTS) for n in chosen):
        build_probes(programs)
    if gaps:
        attempt(" ".join(gaps), measure_gaps, programs, gaps, runs, entries)
    if stream_gaps:
        attempt(" ".join(stream_gaps), measure_stream_gaps, programs, stream_gaps, runs, entries)
    for measure in dict.fromkeys(OTHERS[n][0] for n in chosen if n in OTHERS):
        most = max(OTHERS[n][1] for n in chosen if n in OTHERS and OTHERS[n][0] is measure)
        attempt(measure.__name__, measure, programs, min(runs, most))
    if not wanted or [w for w in wanted if not any(matches(n, [w]) for n in known)]:
        attempt("bench programs", run_programs, programs, wanted)
    entries = [e for e in entries if not wanted or matches(e["figure"], wanted)]
    print_table([e for e in entries if "contestant" not in e])
    target = pathlib.Path(json_file) if json_file else REPOSITORY / "build/bench.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(entries, indent=1) + "\n")
    failures += [f"{e['figure']}: {e['value']:g} {e['unit']} in the median, {e['worst']:g} at worst; allowed: {limits_of(e, 'must')}"
                 for e in entries if e.get("failed")]
    missing = [w for w in wanted if not any(matches(e["figure"], [w]) for e in entries)]
    for failure in failures + [f"no figure {w}; there are: {' '.join(known)} and those of the bench programs"
                               for w in missing if not failures]:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures or missing else 0


def print_table(entries):
    print(f"{'figure':<26}{'median':>10}{'worst':>10} {'unit':<12}{'runs':>5}  {'reference':<34}{'ratio':>7}  target")
    for e in entries:
        reference = e.get("reference")
        words = f"{reference['name']} {reference['value']:g}" if reference else ""
        ratio = f"{e['ratio']:g}" if e.get("ratio") is not None else ""
        line = (f"{e['figure']:<26}{e['value']:>10g}{e['worst']:>10g} {e['unit']:<12}{e['runs']:>5}  {words:<34}{ratio:>7}  "
                f"{targets_of(e):<20}  {e.get('note', '')}")
        print(line.rstrip())


def targets_of(entry):
    """"30", "30/100" (median and worst), "24.6 (2x)" (of the reference), with what was not reached said."""
    ratio = f" ({entry['target_ratio']:g}x)" if "target_ratio" in entry else ""
    return limits_of(entry, "target") + ratio + (" MISSED" if entry.get("missed") else "")


def limits_of(entry, name):
    """The `target` or the `must` of an entry: "30", or "30/100" (median and worst)."""
    return "/".join(f"{entry[key]:g}" for key in (name, f"{name}_worst") if key in entry)
