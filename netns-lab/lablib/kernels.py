"""Under which kernel a scenario runs: the machine's own, or Debian's in an emulated machine; and the run over there."""
import json
import sys

from . import machine, needs, pace, runner, topology
from .ns import LabError
from .product import REPOSITORY

VM_LOGS = REPOSITORY / "build/log/vm"
VM_SLOWDOWN = 6             # deadlines under emulation, against a real CPU


def choose(name, kernel):
    """native or vm for one scenario. kernel: native, vm, or auto: native where this kernel has what it NEEDS."""
    if kernel != "auto":
        return kernel
    return "vm" if needs.missing(needs.of(runner.load(name))) else "native"


def run(chosen, programs, kernel, jobs, verbose):
    """Runs scenarios, each under its kernel. Returns all results. The emulated machine boots once, after the others."""
    native = [n for n in chosen if choose(n, kernel) == "native"]
    emulated = [n for n in chosen if n not in native]
    results = runner.run_many(native, programs, jobs, verbose) if native else []
    return results + (run_emulated(emulated, programs, jobs, verbose) if emulated else [])


def virtio_ports(name):
    """How many real NICs a scenario's host needs."""
    wanted = topology.load(runner.load(name).TOPOLOGY)
    return len(wanted.ports) if wanted.nic == "virtio" else 0


def run_emulated(chosen, programs, jobs, verbose):
    """Runs scenarios in one guest. What it did not get to, because it hung or died, counts as failed."""
    VM_LOGS.mkdir(parents=True, exist_ok=True)
    answer = VM_LOGS / "results.json"
    for old in [answer, *(VM_LOGS / f"{name}.txt" for name in chosen)]:
        old.unlink(missing_ok=True)
    ports = max(map(virtio_ports, chosen))
    trouble = ""
    try:
        with machine.Machine(VM_LOGS, ports, lambda text: print(text, flush=True)) as guest:
            guest.run([sys.executable, "-m", "lablib.cli", "_batch", *chosen, "--programs", programs, "--jobs", jobs,
                       "--json", answer] + (["--verbose"] if verbose else []),
                      lambda data: machine.write_all(1, data), lambda data: machine.write_all(2, data),
                      cwd=REPOSITORY, env=guest_environment(guest, ports),
                      timeout_s=sum(map(runner.timeout_s, chosen)) * VM_SLOWDOWN)
    except LabError as error:
        trouble = str(error)
    results = json.loads(answer.read_text())["scenarios"] if answer.exists() else []
    done = {r["name"] for r in results}
    for name in [n for n in chosen if n not in done]:
        results.append({"name": name, "title": runner.title(name), "result": "failed", "figures": {}, "seconds": 0.0,
                        "kernel": "vm", "reason": trouble or "the guest ended before this scenario did"})
        runner.report(results[-1], VM_LOGS / f"{name}.txt", verbose)
    return results


def guest_environment(guest, ports):
    return {"LAB_LOGS": str(VM_LOGS), "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": "/run/pycache", "LAB_PKI_CACHE": "/run/lab-pki",
            needs.KERNEL_ENV: guest.kernel.version, pace.SLOWDOWN_ENV: str(VM_SLOWDOWN),
            needs.PORTS_ENV: str(ports)}
