#include "uplink/daemon/hand_back.hpp"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "dhcp/io/folder.hpp"
#include "netmodel/io/ip_record.hpp"
#include "uplink/daemon/record_file.hpp"

namespace edge::uplink {

namespace {

constexpr std::size_t record_bytes_max = 8 << 20;

std::string proc(const std::string& path) { return "/proc/sys/" + path; }

std::string read_sysctl(const std::string& path) {
  std::string text = dhcp::read_file(proc(path), 256).value_or("");
  while (!text.empty() && text.back() == '\n') { text.pop_back(); }
  return text;
}

/// What writing ip_forward, or forwarding of all, changes on each link as well.
/// Source: inet_forward_change(), addrconf_fixup_forwarding().
std::vector<std::string> side_effects(const std::string& link) {
  return {fmt::format("net/ipv4/conf/{}/forwarding", link),
          fmt::format("net/ipv4/conf/{}/accept_redirects", link),
          fmt::format("net/ipv6/conf/{}/forwarding", link),
          fmt::format("net/ipv6/conf/{}/disable_ipv6", link)};
}

const netmodel::ObservedLink* not_ours(const netmodel::ObservedState& observed,
                                       const std::string& name) {
  const auto* link = observed.find_link(name);
  return link == nullptr || link->ours() ? nullptr : link;
}

}  // namespace

HandBack HandBack::open(const std::string& state_folder) {
  std::string path = state_folder + "/machine-before.json";
  std::string boot_id = dhcp::read_file("/proc/sys/kernel/random/boot_id", 64).value_or("");
  HandBack out(std::move(path),
               MachineBefore{.boot_id = std::move(boot_id), .links = {}, .sysctls = {}});
  if (const auto joined = out.join_file(); !joined) {
    spdlog::warn("before.not_read what=\"{}\"", joined.error().what);
  }
  return out;
}

/// What an earlier life found counts before what this one saw. A file that is there and cannot be
/// read now is asked again before anything takes its place.
Result<void> HandBack::join_file() {
  if (joined_) { return {}; }
  EDGE_ASSIGN(const std::string text, read_record(path_, record_bytes_max));
  joined_ = true;
  MachineBefore found = MachineBefore::from_json(text, before_.boot_id);
  found.links.merge(before_.links);
  found.sysctls.merge(before_.sysctls);
  before_ = std::move(found);
  return {};
}

void HandBack::before(const netmodel::Plan& plan, const netmodel::ObservedState& observed) {
  const std::size_t known = before_.links.size() + before_.sysctls.size();
  for (const auto& operation : plan) {
    const auto* change = std::get_if<netmodel::ChangeLink>(&operation);
    const auto* link = change == nullptr ? nullptr : not_ours(observed, change->name);
    if (link == nullptr || before_.links.contains(change->name)) { continue; }
    const auto* master = observed.find_link(link->link.master);
    if (master != nullptr && master->ours()) { continue; }
    keep_link(*link);
  }
  if (before_.sysctls.empty()) { keep_sysctls(observed); }
  if (before_.links.size() + before_.sysctls.size() != known) { save(); }
}

void HandBack::keep_link(const netmodel::ObservedLink& link) {
  LinkBefore out{.index = link.index.value,
                 .mtu = link.link.mtu.value_or(0),
                 .up = link.link.admin_up,
                 .addresses = {},
                 .routes = {}};
  auto record = netmodel::record_ip(link.link.name);
  if (!record) {
    spdlog::warn("before.not_kept link={} what=\"{}\"", link.link.name, record.error().what);
    return;
  }
  out.addresses = std::move(record->addresses);
  out.routes = std::move(record->routes);
  before_.links[link.link.name] = std::move(out);
}

void HandBack::keep_sysctls(const netmodel::ObservedState& observed) {
  for (const auto& link : observed.links) {
    if (link.ours()) { continue; }
    for (const std::string& path : side_effects(link.link.name)) {
      std::string value = read_sysctl(path);
      if (!value.empty()) { before_.sysctls[path] = std::move(value); }
    }
  }
}

void HandBack::save() {
  Result<void> kept = join_file();
  if (kept) { kept = dhcp::write_file(path_, before_.to_json(), 0600); }
  if (!kept && lacking_.empty()) { spdlog::warn("before.not_kept what=\"{}\"", kept.error().what); }
  lacking_ = kept ? "" : kept.error().what;
}

std::string HandBack::write_again() {
  if (!lacking_.empty()) { save(); }
  return lacking_;
}

Result<std::vector<std::string>> HandBack::restore_links(netmodel::Kernel& kernel) {
  EDGE_TRY(join_file());
  std::vector<std::string> written;
  std::string failures;
  EDGE_ASSIGN(const auto observed, kernel.dump({}));
  const auto note = [&](const Result<void>& done) {
    if (!done) { failures += (failures.empty() ? "" : "; ") + done.error().what; }
  };
  const auto apply = [&](netmodel::ChangeLink change) {
    const netmodel::Operation operation = std::move(change);
    note(kernel.apply(operation));
    written.push_back(netmodel::to_text(operation));
  };
  for (const auto& [name, before] : before_.links) {
    const auto* link = not_ours(observed, name);
    const bool same = link != nullptr && link->index.value == before.index;
    if (!same || !link->link.master.empty()) { continue; }
    if (before.mtu != 0 && link->link.mtu != before.mtu) {
      apply({.name = name, .mtu = before.mtu});
    }
    const std::string path = fmt::format("net/ipv6/conf/{}/disable_ipv6", name);
    const auto ipv6 = before_.sysctls.find(path);
    if (ipv6 != before_.sysctls.end() && read_sysctl(path) != ipv6->second) {
      const netmodel::Operation operation = netmodel::SetSysctl{{path, ipv6->second}};
      note(kernel.apply(operation));
      written.push_back(netmodel::to_text(operation));
    }
    note(netmodel::put_back_ip(name, {before.addresses, before.routes}));
    written.push_back(fmt::format("# {}: {} addresses and {} routes as they were found", name,
                                  before.addresses.size(), before.routes.size()));
    if (!before.up && link->link.admin_up) { apply({.name = name, .admin_up = false}); }
  }
  if (!failures.empty()) { return fail(Errc::transient, "not put back: " + failures); }
  return written;
}

Result<std::vector<std::string>> HandBack::restore_sysctls(netmodel::Kernel& kernel) {
  std::vector<std::string> written;
  for (const auto& [path, value] : before_.sysctls) {
    const std::string now = read_sysctl(path);
    if (now.empty() || now == value) { continue; }
    const netmodel::Operation operation = netmodel::SetSysctl{{path, value}};
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
