// What the machine runs beside us: other DHCP clients; and the removal of all that is ours.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "dhcp/io/child.hpp"
#include "dhcp/io/dhcp_client.hpp"
#include "dhcp/io/folder.hpp"

namespace edge::dhcp {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t machine_processes_max = 65536;

std::string namespace_of(std::string_view pid, std::string_view kind) {
  std::error_code error;
  const fs::path link = fs::read_symlink(fmt::format("/proc/{}/ns/{}", pid, kind), error);
  return error ? std::string() : link.string();
}

/// "dhcpcd: wlan0 [ip4]" serves one interface only; "dhcpcd: [manager]" and "dhclient -i" may serve
/// all.
bool serves(const std::string& command_line, const std::string& interface) {
  if (command_line.find(interface) != std::string::npos) { return true; }
  return command_line.find("manager") != std::string::npos ||
         command_line.find("master") != std::string::npos;
}

}  // namespace

std::string foreign_dhcp_client(const std::string& interface) {
  const std::string our_net = namespace_of("self", "net");
  const std::string our_pids = namespace_of("self", "pid");
  std::error_code error;
  std::size_t seen = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename().string();
    if (pid.empty() || pid.find_first_not_of("0123456789") != std::string::npos) { continue; }
    if (++seen > machine_processes_max) { break; }
    const auto name = read_file("/proc/" + pid + "/comm", 64);
    if (!name || (*name != "dhcpcd\n" && *name != "dhclient\n" && *name != "udhcpc\n")) {
      continue;
    }
    // Ours have a PID namespace of their own; another machine's container does not see our links.
    if (namespace_of(pid, "net") != our_net || namespace_of(pid, "pid") != our_pids) { continue; }
    auto line = read_file("/proc/" + pid + "/cmdline", 1024).value_or("");
    std::ranges::replace(line, '\0', ' ');
    if (!serves(line, interface)) { continue; }
    const std::string program = name->substr(0, name->size() - 1);
    return fmt::format(
        "{} (pid {}) of the system may also configure {}: stop it, or exclude our bridges{}",
        program, pid, interface,
        program == "dhcpcd" ? " with \"denyinterfaces br*\" in /etc/dhcpcd.conf" : "");
  }
  return {};
}

Result<void> purge(const std::string& runtime_dir, const std::string& state_dir) {
  std::error_code error;
  std::vector<std::string> alive;
  for (const fs::directory_entry& entry : fs::directory_iterator(runtime_dir + "/dhcp", error)) {
    const std::string name = entry.path().filename().string();
    const bool lock = name.ends_with(".lock") || name.ends_with(".lock6");
    if (lock && !end_holder(entry.path())) { alive.push_back(name); }
  }
  if (!alive.empty()) {
    return fail(Errc::conflict, fmt::format("children that do not end hold {}/dhcp/{}", runtime_dir,
                                            alive.front()));
  }
  for (const std::string& folder :
       {runtime_dir + "/dhcp", state_dir + "/dhcp", state_dir + "/dnsmasq"}) {
    fs::remove_all(folder, error);
    if (error) { return fail_errno(error.value(), "remove " + folder); }
  }
  return {};
}

}  // namespace edge::dhcp
