// What the machine's own sysctls were before us.
#include "uplink/core/sysctl_originals.hpp"

#include <algorithm>

#include <boost/json.hpp>

namespace edge::uplink {

namespace json = boost::json;

namespace {

const json::string* string_in(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_string();
}

/// The link whose value it is; empty: none's.
std::string_view link_of(std::string_view path) {
  for (const std::string_view family : {"net/ipv4/conf/", "net/ipv6/conf/"}) {
    if (!path.starts_with(family)) { continue; }
    const std::string_view rest = path.substr(family.size());
    const std::string_view link = rest.substr(0, rest.rfind('/'));
    return link == "all" || link == "default" ? std::string_view{} : link;
  }
  return {};
}

}  // namespace

SysctlOriginals SysctlOriginals::from_json(std::string_view text, std::string boot_id) {
  SysctlOriginals out(std::move(boot_id));
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  const auto* file = ec ? nullptr : parsed.if_object();
  if (file == nullptr) { return out; }
  const auto* boot = string_in(*file, "boot_id");
  const auto* list = file->if_contains("sysctls");
  if (boot == nullptr || *boot != out.boot_id_ || list == nullptr || !list->is_object()) {
    return out;
  }
  for (const auto& [path, entry] : list->get_object()) {
    const auto* values = entry.if_object();
    const auto* was = values == nullptr ? nullptr : string_in(*values, "was");
    const auto* ours = values == nullptr ? nullptr : string_in(*values, "ours");
    if (was == nullptr || ours == nullptr) { continue; }
    out.known_[std::string(path)] = {std::string(*was), std::string(*ours)};
  }
  return out;
}

void SysctlOriginals::join(std::string_view text) {
  for (auto& [path, earlier] : from_json(text, boot_id_).known_) {
    const auto [entry, fresh] = known_.try_emplace(path, earlier);
    if (!fresh) { entry->second.was = earlier.was; }
  }
}

std::string SysctlOriginals::to_json() const {
  json::object list;
  for (const auto& [path, known] : known_) {
    list[path] = json::object{{"was", known.was}, {"ours", known.ours}};
  }
  return json::serialize(json::object{{"boot_id", boot_id_}, {"sysctls", std::move(list)}}) + "\n";
}

bool SysctlOriginals::remember(const std::string& path, const std::string& was,
                               const std::string& ours) {
  const auto [entry, fresh] = known_.try_emplace(path, Known{was, ours});
  if (fresh) { return true; }
  if (ours == entry->second.was && was == entry->second.ours) {
    known_.erase(entry);
    return true;
  }
  return std::exchange(entry->second.ours, ours) != ours;
}

std::vector<netmodel::Sysctl> SysctlOriginals::to_restore(
    const std::vector<netmodel::Sysctl>& now) const {
  std::vector<netmodel::Sysctl> out;
  for (const auto& present : now) {
    const auto found = known_.find(present.path);
    if (found == known_.end() || present.value != found->second.ours) { continue; }
    if (present.value != found->second.was) { out.push_back({present.path, found->second.was}); }
  }
  return out;
}

std::vector<netmodel::Sysctl> SysctlOriginals::no_longer_wanted(
    const std::vector<netmodel::Sysctl>& wanted, const std::vector<netmodel::Sysctl>& now) const {
  std::vector<netmodel::Sysctl> out = to_restore(now);
  std::erase_if(out, [&](const netmodel::Sysctl& sysctl) {
    return !is_machine_wide(sysctl.path) ||
           std::ranges::find(wanted, sysctl.path, &netmodel::Sysctl::path) != wanted.end();
  });
  return out;
}

void SysctlOriginals::forget_gone(const netmodel::ObservedState& observed) {
  std::erase_if(known_, [&](const auto& item) {
    const std::string_view link = link_of(item.first);
    return !link.empty() && observed.find_link(link) == nullptr;
  });
}

std::vector<std::string> SysctlOriginals::paths() const {
  std::vector<std::string> out;
  out.reserve(known_.size());
  for (const auto& [path, known] : known_) { out.push_back(path); }
  return out;
}

bool is_machine_wide(std::string_view path) { return link_of(path).empty(); }

bool belongs_to_machine(std::string_view path, const netmodel::ObservedState& observed) {
  const std::string_view link = link_of(path);
  if (link.empty()) { return true; }
  const auto* seen = observed.find_link(link);
  return seen != nullptr && !seen->ours();
}

}  // namespace edge::uplink
