#include "uplink/daemon/memory.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

constexpr const char* subnets_setting = "automatic_subnets";

std::map<std::string, IpPrefix> subnets_of(const std::string& text) {
  std::map<std::string, IpPrefix> out;
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_object()) { return out; }
  for (const auto& [network, value] : parsed.as_object()) {
    if (!value.is_string()) { continue; }
    if (const auto prefix = parse_prefix(std::string_view(value.as_string()))) {
      out[network] = *prefix;
    }
  }
  return out;
}

}  // namespace

std::vector<store::CommandRecord> taken_up(std::vector<store::CommandRecord> unfinished,
                                           const store::Standing& standing, bool older_copy) {
  if (!standing.durable) {
    if (older_copy) { unfinished.clear(); }
    std::erase_if(unfinished, [](const auto& command) { return command.undo.empty(); });
  }
  return unfinished;
}

bool has_undo(const std::vector<store::CommandRecord>& commands) {
  return std::ranges::any_of(commands, [](const auto& command) { return !command.undo.empty(); });
}

Result<Memory> remember(store::Store& store) {
  Memory out;
  EDGE_ASSIGN(out.identity, store.identity());
  EDGE_ASSIGN(out.adapters, store.adapters());
  EDGE_ASSIGN(out.leases, store.leases());
  EDGE_ASSIGN(out.unfinished, store.unfinished());
  EDGE_ASSIGN(const auto subnets, store.setting(subnets_setting));
  if (subnets) { out.automatic_subnets = subnets_of(*subnets); }
  EDGE_ASSIGN(const auto own_mtus, store.setting(Ports::own_mtus_setting));
  out.own_mtus = own_mtus.value_or("");
  EDGE_ASSIGN(const auto newest, store.newest_revision());
  out.model = netmodel::Model::defaults();
  if (!newest) {
    EDGE_TRY(store.add_revision({1, netmodel::to_json_text(out.model), "default", wall_now()}));
    out.revision = 1;
    EDGE_ASSIGN(out.revisions, store.revisions(1));
    return out;
  }
  out.revision = newest->number;
  EDGE_ASSIGN(out.highest_revision, store.highest_revision_number());
  EDGE_ASSIGN(out.revisions, store.revisions(50));
  for (const auto& summary : out.revisions) {
    EDGE_ASSIGN(const auto revision, store.revision(summary.number));
    if (!revision) { continue; }
    auto model = netmodel::model_from_json(revision->model);
    if (model) {
      out.model = std::move(*model);
      return out;
    }
    // An older revision in its place would undo what a newer program was told.
    if (model.error().code == Errc::unsupported) {
      return fail(Errc::unsupported,
                  fmt::format("revision {}: {}", summary.number, model.error().what));
    }
    out.notes.push_back(fmt::format("revision {} cannot be read ({}); trying the one before",
                                    summary.number, model.error().what));
  }
  return out;
}

Result<void> keep_subnets(store::Store& store, const std::map<std::string, IpPrefix>& subnets) {
  json::object out;
  for (const auto& [network, prefix] : subnets) { out[network] = edge::to_string(prefix); }
  return store.put_setting(subnets_setting, json::serialize(out));
}

}  // namespace edge::uplink
