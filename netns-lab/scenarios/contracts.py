"""The contract suites of links, groups, VLANs, plans and nft under the kernel that this runs on: it keeps the rules that the
fake kernel of the unit tests has, and those that nft and conntrack are taken to have."""
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


def run(lab):
    failures, passed = [], 0
    for name, filter in SUITES.items():
        done = subprocess.run([lab.programs / name, "--gtest_brief=1", f"--gtest_filter={filter}"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", cwd=lab.dir,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1"})
        found = re.search(r"\[  PASSED  \] (\d+) test", done.stdout)
        count = int(found[1]) if found else 0
        lab.say(f"  - {name}: {count} passed, exit {done.returncode}")
        passed += count
        if done.returncode or not count:
            failures.append(f"{name}: exit {done.returncode}\n{done.stdout[-4000:]}")
    lab.figure("passed", passed, "tests")
    lab.check("every suite passes", not failures, "\n".join(failures))
