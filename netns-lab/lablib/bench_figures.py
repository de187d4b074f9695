"""An entry of bench.json, and what a bench says while it runs."""
import statistics
import sys


def figure(name, unit, values, target, reference=None, reference_values=None, better="less", target_worst=None,
           must=False):
    """One entry of bench.json (interfaces.md, Figures). target: for the median; target_worst: for the worst of all runs.
    must: the bench fails when it is missed."""
    entry = {"figure": name, "unit": unit, "value": round(statistics.median(values), 3),
             "worst": round(max(values) if better == "less" else min(values), 3), "runs": len(values)}
    if reference_values:
        value = statistics.median(reference_values)
        entry["reference"] = {"name": reference, "value": round(value, 3)}
        entry["ratio"] = round(entry["value"] / value, 3) if value else None
    if target is not None:
        entry["target"] = target
        entry["missed"] = entry["value"] > target if better == "less" else entry["value"] < target
    if target_worst is not None:
        entry["target_worst"] = target_worst
        entry["missed"] = entry.get("missed", False) or entry["worst"] > target_worst
    if must:
        entry["must"] = True
    return entry


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)
