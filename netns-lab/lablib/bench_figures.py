"""An entry of bench.json, and what a bench says while it runs."""
import statistics
import sys


def figure(name, unit, values, target, reference=None, reference_values=None, better="less", target_worst=None,
           must=None, note=None):
    """One entry of bench.json (interfaces.md, Figures). target: for the median; target_worst: for the worst of all runs.
    must: the bench fails when it is missed. True: the targets; (median, worst), each may be None: bounds apart from them.
    note: how it was measured, for the table."""
    entry = {"figure": name, "unit": unit, "value": round(statistics.median(values), 3),
             "worst": round(max(values) if better == "less" else min(values), 3), "runs": len(values)}
    if reference_values:
        value = statistics.median(reference_values)
        entry["reference"] = {"name": reference, "value": round(value, 3)}
        entry["ratio"] = round(entry["value"] / value, 3) if value else None
    bound(entry, "target", "missed", target, target_worst, better)
    if must:
        bound(entry, "must", "failed", *((target, target_worst) if must is True else must), better)
    if note:
        entry["note"] = note
    return entry


def bound(entry, name, broken, median, worst, better):
    """Writes a bound for the median and one for the worst (None: none) into the entry, and in `broken` whether one is."""
    for key, of, limit in ((name, "value", median), (f"{name}_worst", "worst", worst)):
        if limit is None:
            continue
        entry[key] = limit
        beyond = entry[of] > limit if better == "less" else entry[of] < limit
        entry[broken] = entry.get(broken, False) or beyond


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)
