// The local page for the technician: what is plugged where, what works, what to do.
#include <boost/json.hpp>

#include "uplink/daemon/views.hpp"

namespace edge::uplink {

namespace {

constexpr std::string_view kPage = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Uplink</title><style>
body{font:15px/1.45 system-ui,sans-serif;margin:0;background:#f5f6f8;color:#1c2330}
header{background:#1c2330;color:#fff;padding:14px 22px;display:flex;gap:18px;align-items:baseline;flex-wrap:wrap}
header b{font-size:19px}main{padding:18px 22px;max-width:1100px}
h2{font-size:15px;margin:22px 0 6px}table{border-collapse:collapse;width:100%;background:#fff;border-radius:6px;overflow:hidden}
th,td{text-align:left;padding:7px 11px;border-bottom:1px solid #e6e8ee;vertical-align:top}th{font-weight:600;color:#596275;font-size:13px}
.ok{color:#0a7a3d}.bad{color:#b3261e}.dim{color:#7b8496}.tag{padding:1px 8px;border-radius:9px;background:#e6e8ee}
.tag.ok{background:#d8f3e2}.tag.bad{background:#fbe0de}</style></head><body>
<header><b id="host">…</b><span id="console"></span><span class="dim" id="rev"></span></header>
<main><div id="problems"></div><h2>Ports</h2><table id="ports"></table><h2>Paths to the Console</h2><table id="paths"></table>
<h2>Networks</h2><table id="networks"></table></main><script>
const esc=t=>String(t??"").replace(/[&<>"]/g,c=>({"&":"&amp;","<":"&lt;",">":"&gt;",'"':"&quot;"}[c]));
const tag=(t,ok)=>`<span class="tag ${ok?"ok":"bad"}">${esc(t)}</span>`;
const table=(id,head,rows)=>{document.getElementById(id).innerHTML="<tr>"+head.map(h=>`<th>${h}</th>`).join("")+"</tr>"+
 rows.map(r=>"<tr>"+r.map(c=>`<td>${c}</td>`).join("")+"</tr>").join("")};
async function draw(){try{const d=await (await fetch("/status.json")).json();
 host.textContent=d.status.host;rev.textContent="revision "+d.status.revision+" · version "+d.status.version;
 const on=d.status.console.state==="online";
 document.getElementById("console").innerHTML=tag(on?"Console online over "+d.status.console.active_path:"Console offline",on);
 problems.innerHTML=d.status.problems.map(p=>`<p class="bad">${esc(p)}</p>`).join("");
 table("ports",["Port","State","Address","Path","What to do"],d.ports.map(p=>[`<b>${esc(p.port)}</b><br><span class="dim">${esc(p.mac)}</span>`,
  tag(p.state,p.state==="leased"),esc(p.address||p.address6||""),esc(p.path_state),p.broken_step?`${esc(p.cause)}<br><span class="dim">${esc(p.advice)}</span>`:""]));
 table("paths",["Path","State","RTT","First broken step"],d.paths.map(p=>[esc(p.path),tag(p.state,["active","standby"].includes(p.state)),
  p.rtt_ms===undefined?"":p.rtt_ms+" ms",p.broken_step?esc(p.broken_step+": "+p.cause):""]));
 table("networks",["Network","Kind","Subnet","Bridge","Interfaces"],d.networks.map(n=>[esc(n.network),esc(n.kind),esc(n.subnet),esc(n.bridge),n.interfaces]));
}catch(e){document.getElementById("console").innerHTML=tag("the daemon does not answer",false)}setTimeout(draw,1000)}draw();
</script></body></html>)html";

}  // namespace

std::string page_view(const ViewSources&) { return std::string(kPage); }

}  // namespace edge::uplink
