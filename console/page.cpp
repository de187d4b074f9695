#include "console/page.hpp"

namespace edge::console {

const std::string& page_html() {
  // Everything that comes from a host is put into text nodes, never into markup.
  static const std::string page = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Uplink Console</title>
<style>
:root{color-scheme:light dark;--line:#8884;--dim:#8889;--good:#2a9d55;--warn:#d08700;--bad:#d0342c}
body{font:14px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1200px;padding:1rem}
h1{font-size:1.2rem;margin:0 0 .8rem}h2{font-size:1rem;margin:1.4rem 0 .3rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--dim)}td.n{text-align:right;font-variant-numeric:tabular-nums}
.dot{display:inline-block;width:.65em;height:.65em;border-radius:50%;margin-right:.4em;background:var(--dim)}
.good .dot{background:var(--good)}.warn .dot{background:var(--warn)}.bad .dot{background:var(--bad)}
.bad{color:var(--bad)}.dim{color:var(--dim)}code{font-size:.92em;overflow-wrap:anywhere}
#state{float:right}.host{border:1px solid var(--line);border-radius:8px;padding:.2rem 1rem 1rem;margin:1rem 0}
@media(max-width:640px){.wide{display:none}}
</style></head><body>
<h1>Uplink Console <span id="state" class="dim">not connected</span></h1>
<form id="ask" hidden><label>API token <input id="token" type="password" autocomplete="off"></label> <button>Connect</button></form>
<div id="fleet"></div>
<h2>Events</h2><table><thead><tr><th>Time</th><th>Host</th><th>Kind</th><th>What</th></tr></thead><tbody id="events"></tbody></table>
<script>
"use strict";
const $ = id => document.getElementById(id);
const hosts = new Map(), commands = new Map(), revisions = new Map();
let token = location.hash.slice(1) || sessionStorage.getItem("token") || "";
if (location.hash) history.replaceState(null, "", location.pathname);
function el(tag, text, cls) { const e = document.createElement(tag); if (text !== undefined && text !== null) e.textContent = text; if (cls) e.className = cls; return e; }
function row(cells) { const tr = el("tr"); for (const c of cells) tr.append(c instanceof Node ? c : el("td", c)); return tr; }
function table(heads) { const t = el("table"), h = el("tr"); for (const x of heads) h.append(el("th", x)); const head = el("thead"); head.append(h); const body = el("tbody"); t.append(head, body); return [t, body]; }
const when = t => t ? new Date(t).toLocaleString() : "";
const tone = s => ({active: "good", standby: "good", done: "good", suspect: "warn", dialing: "warn", confirming: "warn", expired: "warn", superseded: "warn", down: "bad", refused: "bad", rolled_back: "bad", indeterminate: "bad"})[s] || "dim";
function badge(state) { const td = el("td", undefined, tone(state)); td.append(el("span", "", "dot"), state); return td; }
function number(x) { return el("td", x === undefined || x === null ? "" : Number(x).toFixed(1), "n"); }
function compact(v) { const s = JSON.stringify(v); return s === "{}" || s === undefined ? "" : s.length > 300 ? s.slice(0, 300) + "…" : s; }
async function get(path) {
  const r = await fetch(path, {headers: {Authorization: "Bearer " + token}});
  if (r.status === 401) throw "token";
  if (!r.ok) throw new Error((await r.json()).detail);
  return r;
}
let due = 0;
function draw() { if (!due) due = requestAnimationFrame(() => { due = 0; paint(); }); }
function paint() {
  const out = [];
  for (const h of [...hosts.values()].sort((a, b) => a.host < b.host ? -1 : 1)) {
    const box = el("section", undefined, "host"), title = el("h2");
    const on = el("span", undefined, h.online ? "good" : "bad");
    on.append(el("span", "", "dot"), h.host, " — ", h.online ? "online" : "offline", " since ", when(h.since));
    title.append(on); box.append(title);
    const facts = ["revision " + (h.revision ?? "–"), h.commands_pending + " commands on their way", h.software, h.session ? "session " + h.session : ""];
    box.append(el("p", facts.filter(Boolean).join(" · "), "dim"));
    if (h.revoked) box.append(el("p", "Revoked since " + when(h.revoked.since) + (h.revoked.reason ? ": " + h.revoked.reason : ""), "bad"));
    if (h.store_put_back) box.append(el("p", "Its store was put back to an older state (seen " + when(h.store_put_back.time) + "): after event " + h.store_put_back.after + " its events go on as " + h.store_put_back.n, "bad"));
    if (h.renewal) box.append(el("p", "Renewal of its certificate, ordered " + when(h.renewal.ordered) + ": " + h.renewal.state + (h.renewal.reason ? ": " + h.renewal.reason : ""), h.renewal.state === "refused" ? "bad" : "dim"));
    if (h.clone_refused) box.append(el("p", "A second installation uses this identity; it was refused " + when(h.clone_refused.time), "bad"));
    const [paths, rows] = table(["Path", "State", "RTT ms", "Since", "Not usable because"]);
    for (const p of h.paths) rows.append(row([p.path + (p.metered ? ", metered" : ""), badge(p.state), number(p.rtt_ms), when(p.since), [p.broken_step, p.cause].filter(Boolean).join(": ")]));
    box.append(paths);
    const list = [...(commands.get(h.host) || new Map()).values()].sort((a, b) => a.queued < b.queued ? 1 : -1).slice(0, 12);
    if (list.length) {
      const [t, body] = table(["Command", "State", "Revision", "Queued", "Operations"]);
      for (const c of list) {
        const id = el("td"); id.append(el("code", c.id.slice(0, 8)));
        const what = (c.problems || []).map(p => p.what).join("; ") || (c.operations || []).map(o => o.op).slice(0, 6).join(", ");
        body.append(row([id, badge(c.state), c.revision ?? "", when(c.queued), what]));
      }
      box.append(el("h2", "Commands"), t);
    }
    const more = el("button", "Revisions");
    more.onclick = () => revisions.delete(h.host) ? draw() : load_revisions(h.host).catch(() => {});
    box.append(el("p"), more);
    if (revisions.has(h.host)) {
      const [t, body] = table(["Revision", "Made", "By", "Bytes"]);
      for (const r of revisions.get(h.host)) body.append(row([r.revision, when(r.time), r.cause, r.bytes]));
      box.append(t);
    }
    out.push(box);
  }
  if (!out.length) out.push(el("p", "No host was seen yet.", "dim"));
  $("fleet").replaceChildren(...out);
}
async function load_commands(host) {
  const list = (await (await get("/api/v1/hosts/" + encodeURIComponent(host) + "/commands?limit=12")).json()).commands;
  commands.set(host, new Map(list.map(c => [c.id, c]))); draw();
}
async function load_revisions(host) {
  revisions.set(host, (await (await get("/api/v1/hosts/" + encodeURIComponent(host) + "/revisions?limit=12")).json()).revisions); draw();
}
const stale = new Set();
setInterval(() => { for (const h of stale) load_commands(h).catch(() => {}); stale.clear(); }, 500);
function on_event(name, data) {
  if (name === "host") hosts.set(data.host, data);
  else if (name === "command") {
    const known = commands.get(data.host)?.get(data.id);
    if (known) known.state = data.state;
    stale.add(data.host);
  } else if (name === "event") {
    const what = el("td"); what.append(el("code", compact(data.data)));
    $("events").prepend(row([when(data.time), data.host, data.kind, what]));
    while ($("events").rows.length > 200) $("events").deleteRow(-1);
  }
  draw();
}
async function stream() {
  const r = await get("/api/v1/events"), reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
  $("state").textContent = "live"; $("state").className = "good";
  for (let rest = "";;) {
    const {value, done} = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n"); rest = blocks.pop();
    for (const block of blocks) {
      let name = "message", data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) on_event(name, JSON.parse(data));
    }
  }
}
async function run() {
  for (;;) {
    try {
      hosts.clear();
      for (const h of (await (await get("/api/v1/hosts")).json()).hosts) {
        hosts.set(h.host, h);
        load_commands(h.host).catch(() => {});
        if (h.last_event > 0 && !$("events").rows.length) {
          const past = await (await get("/api/v1/hosts/" + encodeURIComponent(h.host) + "/events?after=" + Math.max(0, h.last_event - 50))).json();
          for (const e of past.events) on_event("event", e);
        }
      }
      sessionStorage.setItem("token", token); draw();
      await stream();
    } catch (e) {
      if (e === "token") { sessionStorage.removeItem("token"); $("ask").hidden = false; $("state").textContent = token ? "the token is not right" : "a token is needed"; return; }
    }
    $("state").textContent = "reconnecting"; $("state").className = "bad";
    await new Promise(r => setTimeout(r, 1000));
  }
}
$("ask").addEventListener("submit", e => { e.preventDefault(); token = $("token").value.trim(); $("ask").hidden = true; run(); });
run();
</script></body></html>
)html";
  return page;
}

}  // namespace edge::console
