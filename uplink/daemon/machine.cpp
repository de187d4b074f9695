#include "uplink/daemon/machine.hpp"

#include <openssl/pem.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "netmodel/io/nft_tables.hpp"
#include "tunnel/io/certificate.hpp"

namespace edge::uplink {

namespace fs = std::filesystem;

namespace {

std::string read_line(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string host_id_of_certificate(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) { return {}; }
  const std::unique_ptr<X509, void (*)(X509*)> cert(
      PEM_read_X509(file.get(), nullptr, nullptr, nullptr), X509_free);
  if (!cert) { return {}; }
  return tunnel::host_id_of(*cert).value_or("");
}

}  // namespace

std::string host_id_of(const Config& config) {
  std::string id = config.host.id;
  if (id.empty() && !config.console.certificate.empty()) {
    id = host_id_of_certificate(config.console.certificate);
  }
  if (id.empty()) { id = read_line("/proc/sys/kernel/hostname"); }
  return id;
}

std::string boot_id() { return read_line("/proc/sys/kernel/random/boot_id"); }

bool kernel_has_bonding() {
  if (fs::exists("/proc/net/bonding") || fs::exists("/sys/module/bonding")) { return true; }
  const std::string folder = "/lib/modules/" + read_line("/proc/sys/kernel/osrelease");
  for (const char* list : {"/modules.builtin", "/modules.dep"}) {
    std::ifstream in(folder + list);
    for (std::string line; std::getline(in, line);) {
      if (line.find("/bonding.ko") != std::string::npos) { return true; }
    }
  }
  return false;
}

Surroundings look_around() {
  constexpr std::array<std::pair<const char*, const char*>, 7> signs{
      {{"/run/NetworkManager", "NetworkManager"},
       {"/run/systemd/netif/links", "systemd-networkd"},
       {"/run/network/ifstate", "ifupdown"},
       {"/run/libvirt", "libvirt"},
       {"/run/docker.sock", "Docker"},
       {"/run/firewalld", "firewalld"},
       {"/run/ovs", "Open vSwitch"}}};
  Surroundings out;
  for (const auto& [path, name] : signs) {
    if (fs::exists(path)) { out.managers.emplace_back(name); }
  }
  if (auto tables = netmodel::foreign_nft_tables()) { out.nft_tables = std::move(*tables); }
  return out;
}

}  // namespace edge::uplink
