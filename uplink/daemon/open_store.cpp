#include "uplink/daemon/open_store.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "dhcp/io/folder.hpp"
#include "netmodel/core/rebuild.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

constexpr std::size_t file_bytes_max = 32U << 20;
constexpr const char* file_name = "/last-known.json";
constexpr const char* settle_setting = "settle_event";

/// What was begun before and cannot be looked up any more.
struct Loss {
  std::string how;  ///< "the file was damaged: ..."
  bool lost = false;
  bool behind = false;  ///< It has content, but less than was known.
};

Loss find_loss(store::Store& store, const std::optional<store::Revision>& newest,
               const std::optional<LastKnown>& known, bool stands) {
  const auto& outcome = store.opened();
  const bool had = known || stands || outcome.corrupt_file;
  if (newest) {
    const bool behind = known && known->revision > newest->number;
    return {fmt::format("the store is at revision {}, the host was at {}", newest->number,
                        known ? known->revision : 0),
            behind, behind};
  }
  if (outcome.corrupt_file) {
    return {fmt::format("the file was damaged ({}) and is kept as {}", outcome.corrupt_reason,
                        *outcome.corrupt_file),
            true, false};
  }
  if (!store.standing().durable) {
    return {"the file cannot be read: " + store.standing().reason, had, false};
  }
  return {"the file was not there", had, false};
}

Result<void> restore_numbers(store::Store& store, const netmodel::Rebuilt& kernel,
                             const std::optional<LastKnown>& known) {
  for (const auto& [mac, table] : kernel.tables) {
    const auto name = kernel.names.find(mac);
    EDGE_TRY(store.restore_adapter({.base_mac = mac,
                                    .number = table - netmodel::table_first,
                                    .last_name = name == kernel.names.end() ? "" : name->second,
                                    .first_seen = wall_now()}));
  }
  for (const auto& adapter : known ? known->adapters : std::vector<LastKnown::Adapter>{}) {
    EDGE_TRY(store.restore_adapter({.base_mac = adapter.base_mac,
                                    .number = adapter.number,
                                    .last_name = adapter.name,
                                    .first_seen = wall_now()}));
  }
  return {};
}

std::string subnets_text(const std::map<std::string, IpPrefix>& subnets) {
  json::object out;
  for (const auto& [network, prefix] : subnets) { out[network] = edge::to_string(prefix); }
  return json::serialize(out);
}

Result<std::int64_t> say_lost(store::Store& store, const Loss& loss, std::string_view source,
                              std::int64_t revision, const std::set<std::string>& kept) {
  const json::object data{
      {"what", loss.how},
      {"rebuilt_from", source},
      {"revision", revision},
      {"kept", texts(kept)},
      {"next", source == "last-known"
                   ? "the model is whole; what was run last is not known: look, and send it again"
                   : "send model.replace: names of groups, publications and VMs, DHCP ranges and "
                     "resolvers are not in the kernel"}};
  const std::string text = event_text(data);
  spdlog::error("event store.lost {}", text);
  return store.add_event(wall_now(), "store.lost", text);
}

/// What an old copy had not finished may have been run since, by the life that was lost.
Result<void> end_unfinished(store::Store& store, std::int64_t revision) {
  EDGE_ASSIGN(const auto unfinished, store.unfinished());
  for (const store::CommandRecord& command : unfinished) {
    const json::object result{
        {"type", "result"},
        {"id", command.id},
        {"state", "indeterminate"},
        {"problems",
         json::array{json::object{
             {"what",
              "store_lost: the host's store is an older copy; whether this command was run since "
              "is not known, and it was not run now. Look at the host, then send it again under a "
              "new id"}}}},
        {"revision", revision}};
    spdlog::warn("command.settled id={} state=indeterminate reason=\"the store is an older copy\"",
                 command.id);
    EDGE_TRY(store.finish(command.id, store::CommandState::indeterminate, json::serialize(result),
                          std::nullopt, wall_now()));
  }
  return {};
}

/// What an earlier start found out stays until it is settled.
Result<StoreStart> as_left(store::Store& store, const netmodel::ObservedState& observed) {
  StoreStart out{.standing = store.standing()};
  EDGE_ASSIGN(const auto settle, store.setting(settle_setting));
  out.settle_event = std::atoll(settle.value_or("0").c_str());
  EDGE_ASSIGN(const auto kept, store.setting(kept_links_setting));
  boost::system::error_code ec;
  const json::value list = json::parse(kept.value_or("[]"), ec);
  if (ec || !list.is_array()) { return out; }
  for (const auto& item : list.get_array()) {
    if (!item.is_string()) { continue; }
    std::string name(item.get_string());
    const auto* link = observed.find_link(name);
    if (link != nullptr && link->ours()) { out.kept.insert(std::move(name)); }
  }
  return out;
}

}  // namespace

std::string store_path(const Config& config) { return config.paths.state + "/uplink.db"; }

Result<store::Store> open_store(const Config& config) {
  const std::string path = store_path(config);
  auto opened = store::Store::open(path, wall_now());
  if (opened) { return opened; }
  const Errc code = opened.error().code;
  // Locked by another process: in memory its journal would be a guess. The next start waits anew.
  const bool locked = code == Errc::transient && opened.error().os_errno == 0;
  if (code == Errc::unsupported || code == Errc::conflict || locked) { return opened; }
  spdlog::error("store.unusable what=\"{}\" next=\"a store in memory; commands are refused\"",
                opened.error().what);
  return store::Store::open_volatile(path, config.paths.runtime, opened.error(), wall_now());
}

std::optional<LastKnown> read_last_known(const Config& config, const std::string& host_id) {
  std::optional<LastKnown> out;
  for (const std::string& folder : {config.paths.runtime, config.paths.state}) {
    const auto text = dhcp::read_file(folder + file_name, file_bytes_max);
    if (!text) { continue; }
    auto known = last_known_from_json(*text);
    if (!known) {
      spdlog::warn("last_known.ignored folder={} reason=\"{}\"", folder, known.error().what);
      continue;
    }
    if (known->host_id != host_id || (out && out->revision >= known->revision)) { continue; }
    out = std::move(*known);
  }
  return out;
}

Result<void> write_last_known(const std::string& runtime_folder, const std::string& state_folder,
                              const std::string& text) {
  EDGE_TRY(dhcp::write_file(runtime_folder + file_name, text, 0600));
  return dhcp::write_file(state_folder + file_name, text, 0600, dhcp::Outlives::power);
}

Result<StoreStart> rebuild_store(store::Store& store, const Config& config,
                                 const std::string& host_id,
                                 const netmodel::ObservedState& observed,
                                 const std::optional<netmodel::NftState>& nft) {
  EDGE_ASSIGN(const auto newest, store.newest_revision());
  const auto known = read_last_known(config, host_id);
  const netmodel::Rebuilt kernel = netmodel::rebuild(observed, nft);
  const Loss loss = find_loss(store, newest, known, kernel.stands);
  if (!loss.lost) { return as_left(store, observed); }
  StoreStart out{.standing = store.standing(), .older_copy = loss.behind};
  EDGE_TRY(restore_numbers(store, kernel, known));
  const netmodel::Model& model = known ? known->model : kernel.model;
  const std::string_view source = known ? "last-known" : kernel.stands ? "kernel" : "nothing";
  const std::int64_t revision = known ? known->revision : 1;
  out.kept = netmodel::unexplained_links(observed, model);
  return store.together([&]() -> Result<StoreStart> {
    EDGE_TRY(store.add_revision(
        {revision, netmodel::to_json_text(model), fmt::format("rebuilt: {}", source), wall_now()}));
    EDGE_TRY(store.put_setting(
        "automatic_subnets",
        subnets_text(known ? known->automatic_subnets : kernel.automatic_subnets)));
    // It numbers its events like the life that was lost: the Console would take them for those.
    if (loss.behind) { EDGE_TRY(store.renew_install_id()); }
    EDGE_ASSIGN(out.settle_event, say_lost(store, loss, source, revision, out.kept));
    EDGE_TRY(store.put_setting(settle_setting, std::to_string(out.settle_event)));
    EDGE_TRY(store.put_setting(kept_links_setting, json::serialize(texts(out.kept))));
    // In memory nothing ends. The next start that can write the file finds the same copy.
    if (loss.behind && store.standing().durable) { EDGE_TRY(end_unfinished(store, revision)); }
    return out;
  });
}

}  // namespace edge::uplink
