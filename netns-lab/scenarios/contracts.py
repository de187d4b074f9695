"""The contract suites of links, groups, VLANs, plans and nft under the kernel that this runs on: it keeps the rules that the
fake kernel of the unit tests has, and those that nft and conntrack are taken to have."""
from concurrent.futures import ThreadPoolExecutor
import os
import re
import subprocess

TOPOLOGY = "one"
NEEDS = "bond vlan vlan_filtering"
TIMEOUT_S = 300
# What only the fake does is the same under every kernel. Of the packets of nft, of which each test builds some machines with
# many forks, those whose answer may differ by kernel; ten thousand publications take minutes under emulation and ASan.
PACKETS = ("HairpinFromTheSame", "AnswersLeave", "AMasqueradedFlow", "AFilteredGuestSpeaks", "BridgeNetfilterOn",
           "AnOldAddressTakes")
SUITES = {"contract_kernel": "-*fake*:*Fake*", "vm_contract_kernel": "-*fake*", "vm_contract_plan": "*",
          "contract_nft": "NftTableTest.*:NftMonitorTest.*:" + ":".join(f"*{name}*" for name in PACKETS)
                          + "-*TenThousand*"}

SHARDS = 2  # Each test has namespaces of its own, and one of two virtual cores stood idle.


def run(lab):
    with ThreadPoolExecutor(SHARDS) as pool:
        runs = [pool.submit(part, lab, name, filter, shard) for name, filter in SUITES.items() for shard in range(SHARDS)]
    failures, passed = [], 0
    for name, shard, status, output in (run.result() for run in runs):
        found = re.search(r"\[  PASSED  \] (\d+) test", output)
        count = int(found[1]) if found else 0
        lab.say(f"  - {name}, part {shard + 1} of {SHARDS}: {count} passed, exit {status}")
        passed += count
        if status or not count:
            failures.append(f"{name}, part {shard + 1}: exit {status}\n{output[-4000:]}")
    lab.figure("passed", passed, "tests")
    lab.check("every suite passes", not failures, "\n".join(failures))


def part(lab, name, filter, shard):
    """One part of a suite's tests, as GoogleTest divides them. Returns (name, shard, exit status, output)."""
    done = subprocess.run([lab.programs / name, "--gtest_brief=1", f"--gtest_filter={filter}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", cwd=lab.dir,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "GTEST_TOTAL_SHARDS": str(SHARDS),
                               "GTEST_SHARD_INDEX": str(shard)})
    return name, shard, done.returncode, done.stdout
