// Prometheus text of the whole Console.
#include <fmt/format.h>

#include "console/api.hpp"

namespace edge::console {
namespace {

void metric(std::string& out, std::string_view name, std::string_view type, std::string_view help,
            std::uint64_t value) {
  fmt::format_to(
      std::back_inserter(out),
      "# HELP uplink_console_{0} {1}\n# TYPE uplink_console_{0} {2}\nuplink_console_{0} {3}\n",
      name, help, type, value);
}

/// One gauge in parts.
void pending_bytes(std::string& out, const HeldBytes& held) {
  out +=
      "# HELP uplink_console_pending_bytes What is held in memory for all hosts until the disk or "
      "the host has it.\n# TYPE uplink_console_pending_bytes gauge\n";
  const std::pair<std::string_view, std::size_t> kinds[] = {{"commands", held.commands},
                                                            {"events", held.events},
                                                            {"results", held.results},
                                                            {"answers", held.answers}};
  for (const auto& [kind, bytes] : kinds) {
    fmt::format_to(std::back_inserter(out), "uplink_console_pending_bytes{{kind=\"{}\"}} {}\n",
                   kind, bytes);
  }
}

}  // namespace

std::string Api::metrics() const {
  std::uint64_t online = 0;
  std::uint64_t revoked = 0;
  std::uint64_t paths = 0;
  std::uint64_t pending = 0;
  tunnel::SessionStats sum;
  HeldBytes held;
  for (const auto& [id, host] : fleet_.hosts()) {
    online += host->online() ? 1 : 0;
    revoked += host->revoked() ? 1 : 0;
    paths += host->path_count();
    pending += host->pending();
    const HeldBytes of_host = host->held();
    held.commands += of_host.commands;
    held.events += of_host.events;
    held.results += of_host.results;
    held.answers += of_host.answers;
    const tunnel::SessionStats& one = host->stats();
    sum.sent += one.sent;
    sum.mirrored += one.mirrored;
    sum.copied += one.copied;
    sum.resent += one.resent;
    sum.delivered += one.delivered;
    sum.duplicates += one.duplicates;
    sum.violations += one.violations;
  }
  const FleetCounters& counted = fleet_.counters();
  std::string out;
  metric(out, "hosts", "gauge", "Hosts ever seen.", fleet_.hosts().size());
  metric(out, "hosts_online", "gauge", "Hosts with a session and a path.", online);
  metric(out, "hosts_revoked", "gauge", "Hosts that an operator revoked.", revoked);
  metric(out, "paths", "gauge", "Attached paths.", paths);
  metric(out, "commands_pending", "gauge", "Commands without a stored result.", pending);
  pending_bytes(out, held);
  metric(
      out, "queued_bytes", "gauge",
      "What waits in sessions and connections of all hosts, events and results included; counted "
      "once a second.",
      fleet_.queued_bytes());
  metric(out, "commands_finished_total", "counter", "Results stored since the start.",
         counted.commands_finished);
  metric(out, "events_stored_total", "counter", "Events stored since the start.",
         counted.events_stored);
  metric(out, "snapshots_total", "counter", "Snapshots received.", counted.snapshots);
  metric(out, "messages_malformed_total", "counter", "Messages of hosts that could not be read.",
         counted.bad_messages);
  metric(out, "clones_refused_total", "counter", "Connections refused as a second installation.",
         counted.clones_refused);
  metric(out, "stores_put_back_total", "counter",
         "How often a host's store was found older than what it had told.",
         counted.stores_put_back);
  metric(out, "handshakes_refused_total", "counter",
         "TLS handshakes that failed, and connections that were not admitted to one.",
         counted.handshakes_refused);
  metric(out, "versions_refused_total", "counter",
         "Connections refused for want of a common version.", counted.versions_refused);
  metric(out, "identities_signed_total", "counter", "Certificates of hosts renewed.",
         counted.identities_signed);
  metric(out, "database_failures_total", "counter", "Writes that failed and are tried again.",
         counted.db_failures);
  metric(out, "database_pending", "gauge", "Jobs waiting for the database.", db_.pending());
  metric(out, "connections_waiting", "gauge", "Connections that have not said HELLO.",
         fleet_.doorstep().waiting());
  metric(out, "connections_refused_total", "counter", "Connections refused at HELLO.",
         fleet_.doorstep().refused());
  metric(out, "connections_told_later_total", "counter",
         "Connections asked to come again later, before any session work.",
         fleet_.doorstep().told_later());
  metric(out, "heartbeat_active_ms", "gauge",
         "Interval of heartbeats that hosts are offered for their active path.",
         static_cast<std::uint64_t>(fleet_.pace().heartbeat.active.count()));
  metric(out, "frames_sent_total", "counter", "DATA frames, first transmissions.", sum.sent);
  metric(out, "frames_mirrored_total", "counter",
         "DATA frames also sent over a second path at once.", sum.mirrored);
  metric(out, "frames_copied_total", "counter",
         "DATA frames also sent over another path after a wait.", sum.copied);
  metric(out, "frames_resent_total", "counter", "DATA frames sent again after a path died.",
         sum.resent);
  metric(out, "frames_delivered_total", "counter", "DATA frames delivered.", sum.delivered);
  metric(out, "frames_duplicate_total", "counter", "DATA frames received again and dropped.",
         sum.duplicates);
  metric(out, "protocol_violations_total", "counter", "Protocol errors of hosts.", sum.violations);
  metric(out, "http_requests_total", "counter", "HTTP requests.", requests_);
  return out;
}

}  // namespace edge::console
