"""Bad input: each wrong configuration and command gets clear lines that name the thing, the value and what is allowed;
every problem is listed; nothing is applied in part."""
import subprocess

TOPOLOGY = "one"


def run(lab):
    lab.host.write_config()
    good = lab.host.config_file.read_text()
    beat = f"heartbeat_ms = {lab.host.settings['tunnel']['heartbeat_ms']}"
    bad_file = lab.host.node.dir / "bad.toml"
    for text, words in (
            (good.replace(beat, "heartbeat_ms = 1"), ["heartbeat_ms", "50"]),
            (good.replace(beat, 'heartbeat_ms = "often"'), ["tunnel.heartbeat_ms", '"often"', "50..10000"]),
            (good.replace(beat, 'heartbeat_ms = "often"\nset_clock = 7'), ['"often"', "7: expected true or false"]),
            (good + "\n[surprise]\nx = 1\n", ["surprise"]),
            (good.replace("[tunnel]", "[tunnel]\nheartbeats = 3"), ["heartbeats"]),
            (good.replace("[console]", "[consoles]"), ["console"]),
            (good.replace('"console.example:8443"', '"console.example:99999"'), ["99999", "65535"]),
            ("this is = = not toml", ["bad.toml:1"]),
            (good.replace('"console.example:8443"', ""), ["endpoints"])):
        bad_file.write_text(text)
        done = subprocess.run(lab.host.node.entry() + [str(lab.programs / "uplinkd"), "--config", str(bad_file),
                                                       "--check"], capture_output=True, text=True, timeout=20)
        said = done.stdout + done.stderr
        lab.check(f"uplinkd --check names {words} and ends with 2",
                  done.returncode == 2 and all(w in said for w in words) and "bad.toml" in said, [done.returncode, said])
    lab.start(active="eth0")
    lab.nat_interface()
    revision, rules = lab.host.ctl("status")["revision"], lab.rules()
    for operations, words in (
            ([{"op": "network.create", "network": "Bad Name", "kind": "nat", "subnet": "10.5.0.0/24"}], ["Bad Name"]),
            ([{"op": "network.create", "network": "n5", "kind": "nat", "subnet": "10.5.0.0/77"}], ["10.5.0.0/77"]),
            ([{"op": "network.create", "network": "n5", "kind": "marvellous"}], ["marvellous", "nat"]),
            ([{"op": "no.such.verb"}], ["no.such.verb"]),
            ([{"op": "network.delete", "network": "lan"}], ["lan", "web"]),
            ([{"op": "network.delete", "network": "nothing"}], ["nothing"]),
            ([lab.publish("r-1", port=70000)], ["70000", "65535"]),
            ([lab.publish("r-1", interface="ghost")], ["ghost"]),
            ([lab.publish("r-1", protocol="smoke")], ["smoke", "tcp", "udp"]),
            ([{"op": "adapter.set", "adapter": "eth0", "mtu": 20}], ["20", "1500", "9000"]),
            ([lab.publish("r-1", surprise=1)], ["surprise"]),
            ([lab.publish("r-ok"), lab.publish("r-2", port=70000), lab.publish("r-3", interface="ghost")],
             ["70000", "ghost"]),
            ([lab.publish("r-4", port=8080), lab.publish("r-5", port=8080)], ["8080"])):
        status, answer = lab.console.request("POST", "/api/v1/hosts/hv-01/commands?wait=5", {"operations": operations})
        # Never the echo of what was sent.
        said = str(answer.get("problems", [])) + str(answer.get("detail", ""))
        refused = status in (400, 422) or (status == 200 and answer["state"] == "refused")
        lab.check(f"{operations[-1]} is refused, naming {words}", refused and all(w in said for w in words),
                  [status, said])
    lab.check("nothing was applied", lab.host.ctl("status")["revision"] == revision and lab.rules() == rules,
              lab.host.ctl("status"))
    lab.check("no network was made", {n["network"] for n in lab.host.ctl("networks")} >= {"lan", "default"}
              and "n5" not in {n["network"] for n in lab.host.ctl("networks")}, lab.host.ctl("networks"))
    for method, path, body, token, want in (
            ("GET", "/api/v1/hosts/hv-01", None, "wrong", (401, 403)), ("GET", "/api/v1/hosts/nobody", None, None, (404,)),
            ("GET", "/api/v1/hosts/hv-01/commands/not-a-uuid", None, None, (400, 404)),
            ("POST", "/api/v1/hosts/hv-01/commands", {"operations": "none"}, None, (400, 422)),
            ("POST", "/api/v1/hosts/hv-01/commands", {"operations": [{"op": "no.such"}] * 10001}, None, (422,)),
            ("POST", "/api/v1/hosts/hv-01/commands", {"operations": [], "id": "7"}, None, (400, 422)),
            ("DELETE", "/api/v1/hosts/hv-01", None, None, (404, 405))):
        status, answer = lab.console.request(method, path, body, **({"token": token} if token else {}))
        lab.check(f"{method} {path} gets a problem", status in want and isinstance(answer, dict)
                  and ("title" in answer or "detail" in answer), [status, answer])
    for arguments, want in ((["no-such-command"], 2), (["ports", "--surprise"], 2)):
        status, out, err = lab.host.uplinkctl(*arguments, check=False)
        lab.check(f"uplinkctl {' '.join(arguments)} ends with {want}", status == want and (out + err), [status, err])
    lab.host.stop()
    status, _, err = lab.host.uplinkctl("status", check=False)
    lab.check("uplinkctl without a daemon ends with 4 and says so", status == 4 and err, [status, err])
    lab.host.start()
