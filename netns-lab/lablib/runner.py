"""Finds scenarios, runs each in a process and an instance of its own, counts, reports."""
import contextlib
import fnmatch
import importlib.util
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

from . import needs, ns, pace
from .evidence import keep_logs, write_kernel, write_stacks
from .ns import LabError
from .product import REPOSITORY
from .scenario import Lab, NotMet

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "scenarios"
LOGS = pathlib.Path(os.environ.get("LAB_LOGS", REPOSITORY / "build/log/lab"))
TIMEOUT_S = 150             # unless the scenario says TIMEOUT_S itself
CLEAN_UP_S = 120            # for a scenario that was told to end
FORK = multiprocessing.get_context("fork")


def load(name):
    """The module scenarios/<name>.py."""
    spec = importlib.util.spec_from_file_location(f"scenario_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names():
    return sorted(p.stem for p in FOLDER.glob("*.py"))


def title(name):
    """First paragraph of the scenario's docstring as one line."""
    return " ".join((load(name).__doc__ or name).strip().split("\n\n")[0].split())


def select(patterns):
    """Scenario names for what a person types: a name, its number (U1, t49), a glob; all, plain (those that any kernel
    can run) or special (those that NEED something). Errors: LabError."""
    chosen = []
    for pattern in patterns:
        lower = pattern.lower()
        number = lower[:1] + lower[1:].zfill(2) if lower[1:].isdigit() else None
        found = [n for n in names() if fnmatch.fnmatch(n, lower) or (number and n.split("_")[0] == number)]
        if lower in ("all", "plain", "special"):
            found = [n for n in names() if lower == "all" or not getattr(load(n), "ON_DEMAND", False)
                     and bool(needs.of(load(n))) == (lower == "special")]
        if not found:
            raise LabError(f'no scenario "{pattern}"; there are: {" ".join(names())}')
        chosen += [n for n in found if n not in chosen]
    return chosen


def timeout_s(name):
    """What a scenario may take on a real CPU."""
    return getattr(load(name), "TIMEOUT_S", TIMEOUT_S)


# -- one scenario, in its own process --------------------------------------------------------------------------------

def stray_links():
    """Links in the machine's own namespace that look like ours: there must never be one."""
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True).stdout or "[]")
    return {link["ifname"] for link in links
            if link.get("ifalias", "").startswith("gallium:") or link["ifname"].startswith("p-eth")}


def run_here(name, programs):
    """Runs one scenario in this process. Returns its result as a dictionary; never raises but for signals."""
    module = load(name)
    result = {"name": name, "title": title(name), "result": "failed", "figures": {}, "reason": "", "seconds": 0.0,
              "kernel": needs.kernel_name()}
    start = time.monotonic()
    missing = needs.missing(needs.of(module))
    if missing:
        return {**result, "reason": f"this kernel ({os.uname().release}) has no {', '.join(missing)}"}
    before = stray_links()
    lab = Lab(module.TOPOLOGY, programs)
    problems = []
    try:
        lab.prepare()
        result["prepare_seconds"] = round(time.monotonic() - start, 2)
        module.run(lab)
        problems += lab.finish()
    except NotMet as error:
        for program in (lab.host, lab.console):
            if program and program.running():
                write_stacks(program)
        write_kernel(lab.host.node)
        problems.append(str(error))
    except LabError as error:
        problems.append(str(error))
    except Exception:
        problems.append(traceback.format_exc())
    finally:
        ignore_signals()
        if problems or sys.exc_info()[0]:
            keep_logs(LOGS / name, lab)
        left = lab.down()
    problems += [f"left behind: {thing}" for thing in left]
    problems += [f"left behind in the machine's own namespace: link {x}" for x in stray_links() - before]
    return {**result, "result": "failed" if problems else "passed", "reason": "\n".join(problems),
            "figures": lab.figures, "seconds": round(time.monotonic() - start, 2)}


def ignore_signals():
    """From here on the lab is being taken away; that must not be interrupted."""
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)


# -- many ------------------------------------------------------------------------------------------------------------

class Run:
    """One scenario in a child process. Invariant: the child cleans up after itself on TERM and when we die."""

    def __init__(self, name, programs):
        self.name, self.start = name, time.monotonic()
        self._result, write = FORK.Pipe(duplex=False)
        self._found, self._stopped = None, False
        self.output = (LOGS / f"{name}.txt")
        LOGS.mkdir(parents=True, exist_ok=True)
        self.timeout = pace.deadline(timeout_s(name))
        self.process = FORK.Process(target=self._child, args=(write, pathlib.Path(programs), os.getpid()))
        self.process.start()
        write.close()

    def _child(self, result, programs, parent):
        """Runs in the child: a fork, because starting Python anew costs seconds under emulation."""
        ns.die_with_parent(signal.SIGTERM)
        if os.getppid() != parent:
            return
        sys.setswitchinterval(0.0005)
        out = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        result.send(run_here(self.name, programs))

    def ended(self):
        alive = self.process.is_alive()     # Before the look into the pipe: what it sent at its end is there then.
        if self._found is None and self._result.poll():     # at once: a long result fills the pipe
            with contextlib.suppress(EOFError):
                self._found = self._result.recv()
        if not alive:
            return True
        if time.monotonic() - self.start > self.timeout and not self._stopped:
            self._stopped = True
            self.process.terminate()
        if time.monotonic() - self.start > self.timeout + CLEAN_UP_S:
            self.process.kill()     # What it leaves, the next lab clears away.
        return False

    def result(self):
        self._result.close()
        if self._found is not None and not self._stopped:
            return self._found
        reason = f"not ended after {self.timeout:g} s" if self._stopped else f"exit {self.process.exitcode}"
        tail = "\n".join(self.output.read_text(errors="replace").splitlines()[-10:])
        return {"name": self.name, "title": title(self.name), "result": "failed", "figures": {},
                "kernel": needs.kernel_name(), "reason": f"{reason}\n{tail}",
                "seconds": round(time.monotonic() - self.start, 2)}

    def stop(self):
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()


def alone(name):
    """It measures time, or it uses what this machine has only once: its cards, its clock."""
    module = load(name)
    return getattr(module, "EXCLUSIVE", False) or bool({needs.VIRTIO, needs.CLOCK} & set(needs.of(module)))


def run_many(chosen, programs, jobs=2, verbose=False, on_result=lambda results: None):
    """Runs scenarios under this kernel, some of them alone and last. Returns the results in that order.

    on_result: called with the results so far after each."""
    exclusive = [n for n in chosen if alone(n)]
    waiting = [n for n in chosen if n not in exclusive]
    results, running = [], []
    try:
        for batch, limit in ((waiting, jobs), (exclusive, 1)):
            batch = list(batch)
            while batch or running:
                while batch and len(running) < limit:
                    running.append(Run(batch.pop(0), programs))
                for run in [r for r in running if r.ended()]:
                    running.remove(run)
                    results.append(run.result())
                    report(results[-1], run.output, verbose)
                    on_result(results)
                time.sleep(0.02)
    finally:
        for run in running:
            run.stop()
    return results


def report(result, output, verbose):
    """One line per scenario; below a failed one why, its steps and where the logs are."""
    figures = "  ".join(f"{key} {value['value']:g} {value['unit']}" + (f" (target {value['target']:g})" if "target" in value else "")
                        for key, value in result["figures"].items())
    word = "PASS" if result["result"] == "passed" else "FAIL"
    print(f"{word} {result['name']:<26} {result['seconds']:6.1f} s  "
          f"[{result['kernel']}] {result['title'][:100]}", flush=True)
    if figures:
        print(f"       {figures}")
    if (word == "FAIL" or verbose) and output.exists():
        for line in output.read_text(errors="replace").splitlines()[-60:]:
            print(f"     | {line}")
    if word == "FAIL":
        for line in result["reason"].splitlines():
            print(f"     ! {line}")
        if (LOGS / result["name"]).is_dir():
            print(f"     logs: {(LOGS / result['name']).relative_to(REPOSITORY)}/")
    sys.stdout.flush()


def write_json(path, results):
    passed = sum(r["result"] == "passed" for r in results)
    text = {"passed": passed, "failed": len(results) - passed, "scenarios": results}
    pathlib.Path(path).write_text(json.dumps(text, indent=1) + "\n")
