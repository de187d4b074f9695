#include "netmodel/io/listeners.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace edge::netmodel {
namespace {

constexpr unsigned tcp_established = 1, tcp_close = 7, tcp_listen = 10;  // net/tcp_states.h
constexpr std::size_t sockets_max = 65'536;

std::vector<std::string_view> words_of(std::string_view line, std::size_t count_max) {
  std::vector<std::string_view> out;
  for (std::size_t at = line.find_first_not_of(' ');
       at != std::string_view::npos && out.size() < count_max;) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    out.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(' ', end);
  }
  return out;
}

template <class T>
std::optional<T> number(std::string_view text, int base) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) { return std::nullopt; }
  return value;
}

/// Words of 32 bits, each as the CPU holds it, so on this machine's byte order in reverse.
std::optional<IpAddress> parse_address(std::string_view hex) {
  if (hex.size() != 8 && hex.size() != 32) { return std::nullopt; }
  IpAddress out;
  out.family = hex.size() == 8 ? Family::v4 : Family::v6;
  for (std::size_t word = 0; word < hex.size() / 8; ++word) {
    const auto value = number<std::uint32_t>(hex.substr(word * 8, 8), 16);
    if (!value) { return std::nullopt; }
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t at = std::endian::native == std::endian::little ? i : 3 - i;
      out.bytes[word * 4 + i] = static_cast<std::uint8_t>(*value >> (8 * at));
    }
  }
  constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (out.family == Family::v6 && std::equal(mapped.begin(), mapped.end(), out.bytes.begin())) {
    return IpAddress::v4(out.bytes[12], out.bytes[13], out.bytes[14], out.bytes[15]);
  }
  return out;
}

struct Endpoint {
  IpAddress address;
  std::uint16_t port;
};
std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) { return std::nullopt; }
  const auto address = parse_address(text.substr(0, colon));
  const auto port = number<std::uint16_t>(text.substr(colon + 1), 16);
  if (!address || !port) { return std::nullopt; }
  return Endpoint{*address, *port};
}

std::optional<HostSocket> parse_line(std::string_view line, Transport protocol) {
  const auto words =
      words_of(line, 10);  // sl local remote st queues timer retransmits uid timeout inode
  if (words.size() < 10) { return std::nullopt; }
  const auto local = parse_endpoint(words[1]);
  const auto state = number<unsigned>(words[3], 16);
  const auto inode = number<std::uint64_t>(words[9], 10);
  if (!local || !state || !inode || local->port == 0) { return std::nullopt; }
  const unsigned waiting = protocol == Transport::tcp ? tcp_listen : tcp_close;
  const bool connected = *state == tcp_established;
  if (*state != waiting && !connected) { return std::nullopt; }
  return HostSocket{protocol, local->address, local->port, connected, *inode};
}

bool in_the_way(const HostSocket& socket, const ListenerScope& scope) {
  const bool here =
      socket.local.is_unspecified() ||
      std::ranges::find(scope.uplink_addresses, socket.local) != scope.uplink_addresses.end();
  if (!here) { return false; }
  if (socket.connected) {
    return socket.protocol == Transport::tcp && std::ranges::binary_search(scope.own, socket.inode);
  }
  return socket.protocol == Transport::tcp || socket.port < scope.ephemeral.first ||
         socket.port > scope.ephemeral.last ||
         std::ranges::binary_search(scope.lasting, socket.inode);
}

std::string owner_of(const HostSocket& socket, const ListenerScope& scope) {
  const bool own = std::ranges::binary_search(scope.own, socket.inode);
  if (own) { return socket.connected ? "the tunnel" : "this service itself"; }
  const auto known = scope.programs.find(socket.inode);
  return known != scope.programs.end() ? known->second : "a program of this host";
}

Result<std::string> read_table(const char* path) {
  std::ifstream file(path);
  if (!file) { return errno == ENOENT ? Result<std::string>("") : fail_errno(errno, path); }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

using Folder = std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })>;

/// Calls `each(inode)` for the sockets of a process; one that ends meanwhile has none.
template <class Each>
void for_each_socket(const std::string& process, Each each) {
  const std::string path = fmt::format("/proc/{}/fd", process);
  const Folder folder(::opendir(path.c_str()));
  if (!folder) { return; }
  constexpr std::string_view prefix = "socket:[";
  while (const dirent* entry = ::readdir(folder.get())) {
    std::array<char, 64> target{};
    const auto size =
        ::readlink(fmt::format("{}/{}", path, entry->d_name).c_str(), target.data(), target.size());
    const std::string_view text(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    if (!text.starts_with(prefix) || !text.ends_with(']')) { continue; }
    const auto inode =
        number<std::uint64_t>(text.substr(prefix.size(), text.size() - prefix.size() - 1), 10);
    if (inode) { each(*inode); }
  }
}

std::string program_of(const std::string& process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  std::getline(file, name);
  return fmt::format("\"{}\" (pid {})", name, process);
}

EphemeralPorts read_ephemeral() {
  EphemeralPorts out;
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  std::uint16_t first = 0, last = 0;
  if (file >> first >> last) { out = {first, last}; }
  return out;
}

}  // namespace

std::vector<HostSocket> parse_proc_net(std::string_view text, Transport protocol) {
  std::vector<HostSocket> out;
  while (!text.empty() && out.size() < sockets_max) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto socket = parse_line(text.substr(0, end), protocol)) { out.push_back(*socket); }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::vector<ReservedPort> reserved_ports(std::span<const HostSocket> sockets,
                                         const ListenerScope& scope) {
  std::map<std::pair<Transport, std::uint16_t>, std::string> owners;
  for (const bool connected : {false, true}) {  // A listener is the better owner to name.
    for (const HostSocket& socket : sockets) {
      if (socket.connected != connected || !in_the_way(socket, scope)) { continue; }
      owners.try_emplace({socket.protocol, socket.port}, owner_of(socket, scope));
    }
  }
  std::vector<ReservedPort> out;
  out.reserve(owners.size());
  for (auto& [key, what] : owners) { out.push_back({key.first, key.second, std::move(what)}); }
  return out;
}

void ListenerReader::name_programs(std::span<const HostSocket> sockets,
                                   const std::function<void()>& breathe) {
  own_.clear();
  for_each_socket("self", [&](std::uint64_t inode) { own_.push_back(inode); });
  std::ranges::sort(own_);
  std::map<std::uint64_t, std::string> known;
  bool strangers = false;
  for (const HostSocket& socket : sockets) {
    if (socket.connected || socket.inode == 0 || std::ranges::binary_search(own_, socket.inode)) {
      continue;
    }
    const auto found = programs_.find(socket.inode);
    strangers = strangers || found == programs_.end();
    known.emplace(socket.inode,
                  found == programs_.end() ? "a program of this host" : found->second);
  }
  programs_ = std::move(known);
  if (!strangers) { return; }
  const Folder processes(::opendir("/proc"));
  while (const dirent* entry = processes ? ::readdir(processes.get()) : nullptr) {
    const std::string process = entry->d_name;
    if (!number<unsigned>(process, 10)) { continue; }
    breathe();
    for_each_socket(process, [&](std::uint64_t inode) {
      const auto wanted = programs_.find(inode);
      if (wanted != programs_.end()) { wanted->second = program_of(process); }
    });
  }
}

std::vector<std::uint64_t> SocketAges::lasting(std::span<const HostSocket> sockets, MonoTime now) {
  std::map<std::uint64_t, MonoTime> seen;
  std::vector<std::uint64_t> out;
  for (const HostSocket& socket : sockets) {
    if (socket.connected || socket.inode == 0) { continue; }
    const auto known = first_seen_.find(socket.inode);
    const MonoTime first = known == first_seen_.end() ? now : known->second;
    if (seen.emplace(socket.inode, first).second && now - first >= question_max) {
      out.push_back(socket.inode);
    }
  }
  first_seen_ = std::move(seen);
  std::ranges::sort(out);
  return out;
}

Result<std::vector<ReservedPort>> ListenerReader::read(std::vector<IpAddress> uplink_addresses,
                                                       MonoTime now,
                                                       const std::function<void()>& breathe) {
  std::vector<HostSocket> sockets;
  for (const auto& [path, protocol] : {std::tuple("/proc/thread-self/net/tcp", Transport::tcp),
                                       std::tuple("/proc/thread-self/net/tcp6", Transport::tcp),
                                       std::tuple("/proc/thread-self/net/udp", Transport::udp),
                                       std::tuple("/proc/thread-self/net/udp6", Transport::udp)}) {
    EDGE_ASSIGN(const std::string text, read_table(path));
    std::ranges::copy(parse_proc_net(text, protocol), std::back_inserter(sockets));
  }
  name_programs(sockets, breathe);
  return reserved_ports(sockets, {std::move(uplink_addresses), read_ephemeral(), programs_, own_,
                                  ages_.lasting(sockets, now)});
}

}  // namespace edge::netmodel
