// The file that remembers the machine's own sysctls.
#include "uplink/daemon/originals.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include <spdlog/spdlog.h>

#include "dhcp/io/folder.hpp"
#include "netmodel/core/plan.hpp"
#include "netmodel/io/sysctl.hpp"
#include "uplink/daemon/record_file.hpp"

namespace edge::uplink {

namespace {

constexpr std::size_t originals_bytes_max = 1 << 20;

/// Of every link but those of `wanted`, where it wants IPv6 forwarding and the machine had none
/// before us.
std::vector<std::string> accept_ra_paths(const netmodel::DesiredState& wanted,
                                         const SysctlOriginals& originals) {
  const std::string forwarding(netmodel::ipv6_forwarding_path);
  if (std::ranges::find(wanted.sysctls, forwarding, &netmodel::Sysctl::path) ==
      wanted.sysctls.end()) {
    return {};
  }
  const auto present = netmodel::read_sysctl(forwarding);
  const bool of_machine = present && present->has_value() && **present == "1";
  if (!present || !present->has_value() || (of_machine && !originals.knows(forwarding))) {
    return {};
  }
  std::set<std::string_view> names;
  for (const netmodel::Link& link : wanted.links) { names.insert(link.name); }
  std::vector<std::string> out;
  std::error_code ec;  // A folder that cannot be read is as an empty one.
  std::filesystem::directory_iterator link("/proc/sys/net/ipv6/conf", ec);
  for (; !ec && link != std::filesystem::directory_iterator(); link.increment(ec)) {
    const std::string name = link->path().filename();
    if (!names.contains(name)) { out.push_back(netmodel::accept_ra_path(name)); }
  }
  return out;
}

}  // namespace

OriginalsFile OriginalsFile::open(const std::string& state_folder) {
  std::string path = state_folder + "/sysctl-originals.json";
  std::string boot_id = dhcp::read_file("/proc/sys/kernel/random/boot_id", 64).value_or("");
  OriginalsFile out(std::move(path), SysctlOriginals(std::move(boot_id)));
  if (const auto joined = out.join_file(); !joined) {
    spdlog::warn("originals.not_read what=\"{}\"", joined.error().what);
  }
  return out;
}

/// As HandBack::join_file().
Result<void> OriginalsFile::join_file() {
  if (joined_) { return {}; }
  EDGE_ASSIGN(const std::string text, read_record(path_, originals_bytes_max));
  joined_ = true;
  originals_.join(text);
  return {};
}

void OriginalsFile::before(const netmodel::Plan& plan, const netmodel::ObservedState& observed) {
  bool news = false;
  for (const auto& operation : plan) {
    const auto* set = std::get_if<netmodel::SetSysctl>(&operation);
    if (set == nullptr || !belongs_to_machine(set->sysctl.path, observed)) { continue; }
    const auto present = std::ranges::find(observed.sysctls, set->sysctl.path,
                                           [](const netmodel::Sysctl& s) { return s.path; });
    if (present == observed.sysctls.end()) { continue; }
    news = originals_.remember(set->sysctl.path, present->value, set->sysctl.value) || news;
  }
  if (!news) { return; }
  originals_.forget_gone(observed);
  save();
}

void OriginalsFile::save() {
  Result<void> kept = join_file();
  if (kept) { kept = dhcp::write_file(path_, originals_.to_json(), 0600); }
  if (!kept && lacking_.empty()) {
    spdlog::warn("originals.not_kept what=\"{}\"", kept.error().what);
  }
  lacking_ = kept ? "" : kept.error().what;
}

std::string OriginalsFile::write_again() {
  if (!lacking_.empty()) { save(); }
  return lacking_;
}

void OriginalsFile::give_back(netmodel::DesiredState& wanted,
                              const netmodel::ObservedState& observed) const {
  for (auto& sysctl : originals_.no_longer_wanted(wanted.sysctls, observed.sysctls)) {
    wanted.sysctls.push_back(std::move(sysctl));
  }
}

std::vector<std::string> OriginalsFile::paths_beside(const netmodel::DesiredState& wanted) const {
  std::vector<std::string> paths = netmodel::sysctl_paths(wanted);
  for (auto& path : accept_ra_paths(wanted, originals_)) { paths.push_back(std::move(path)); }
  for (auto& path : originals_.paths()) {
    if (is_machine_wide(path)) { paths.push_back(std::move(path)); }
  }
  std::ranges::sort(paths);
  const auto twice = std::ranges::unique(paths);
  paths.erase(twice.begin(), twice.end());
  return paths;
}

Result<std::vector<std::string>> OriginalsFile::restore(netmodel::Kernel& kernel) {
  std::vector<std::string> written;
  EDGE_ASSIGN(const auto observed, kernel.dump(originals_.paths()));
  for (auto& sysctl : originals_.to_restore(observed.sysctls)) {
    const netmodel::Operation operation = netmodel::SetSysctl{std::move(sysctl)};
    if (const auto applied = kernel.apply(operation);
        !applied && applied.error().code != Errc::not_found) {
      return std::unexpected(applied.error());
    }
    written.push_back(netmodel::to_text(operation));
  }
  ::unlink(path_.c_str());
  return written;
}

}  // namespace edge::uplink
