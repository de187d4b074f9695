#include "tests/bench/swarm/console_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <sstream>

#include "base/assert.hpp"
#include "base/unique_fd.hpp"

namespace edge::swarm {
namespace {

using tunnel::testing_support::Days;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

UniqueFd tcp_socket() { return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

/// A port that nobody listens on; outside the range that connections are given.
std::uint16_t free_port() {
  static std::uint16_t next = static_cast<std::uint16_t>(12'000 + ::getpid() % 10'000);
  while (true) {
    const UniqueFd fd = tcp_socket();
    const sockaddr_in address = loopback(++next);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return next;
    }
  }
}

void write_file(const std::string& name, const std::string& text) { std::ofstream(name) << text; }

std::string read_file(const std::string& name) {
  std::ifstream in(name);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

std::string console_beside_this_program() {
  std::array<char, 4096> buffer{};
  const ssize_t size = ::readlink("/proc/self/exe", buffer.data(), buffer.size() - 1);
  if (size <= 0) { return {}; }
  const std::string self(buffer.data(), static_cast<std::size_t>(size));
  const std::string beside = self.substr(0, self.rfind('/') + 1) + "uplink-console";
  return ::access(beside.c_str(), X_OK) == 0 ? beside : std::string{};
}

ConsoleProcess::ConsoleProcess(std::string program, const std::string& extra)
    : program_(std::move(program)), tunnel_port_(free_port()), http_port_(free_port()) {
  const auto pair = issue("console.test", "DNS:console.test", "serverAuth");
  write_file(folder_.file("ca.pem"), ca_.pem());
  write_file(folder_.file("console.pem"), pair.certificate);
  write_file(folder_.file("console.key"), pair.key);
  write_file(
      folder_.file("console.toml"),
      fmt::format("[listen]\ntunnel = [\"127.0.0.1:{}\"]\nhttp = \"127.0.0.1:{}\"\n"
                  "[tls]\nca = \"ca.pem\"\ncertificate = \"console.pem\"\nkey = \"console.key\"\n"
                  "[http]\ntoken = \"{}\"\n[paths]\nstate = \"state\"\n{}",
                  tunnel_port_, http_port_, token, extra));
}

ConsoleProcess::~ConsoleProcess() {
  if (ended()) { return; }
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ConsoleProcess::start() {
  EDGE_ASSERT(ended());
  const std::string config = folder_.file("console.toml");
  const std::string log_file = folder_.file("console.log");
  pid_ = ::fork();
  if (pid_ != 0) { return; }
  const int log_fd = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(log_fd, STDERR_FILENO);
  ::dup2(log_fd, STDOUT_FILENO);
  ::execl(program_.c_str(), program_.c_str(), "--config", config.c_str(), nullptr);
  ::_exit(127);
}

bool ConsoleProcess::answers() const {
  const UniqueFd fd = tcp_socket();
  const sockaddr_in address = loopback(http_port_);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void ConsoleProcess::signal(int number) const { ::kill(pid_, number); }

bool ConsoleProcess::ended() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) { pid_ = -1; }
  return pid_ < 0;
}

long ConsoleProcess::resident_kib() const {
  std::istringstream status(read_file(fmt::format("/proc/{}/status", pid_)));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) { return std::strtol(line.c_str() + 6, nullptr, 10); }
  }
  return 0;
}

std::chrono::milliseconds ConsoleProcess::cpu() const {
  const std::string stat = read_file(fmt::format("/proc/{}/stat", pid_));
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 2)));
  std::string skipped;
  for (int i = 3; i < 14; ++i) { fields >> skipped; }  // proc(5): utime is field 14.
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

std::string ConsoleProcess::log() const { return read_file(folder_.file("console.log")); }

tunnel::testing_support::PemPair ConsoleProcess::issue(const std::string& name,
                                                       const std::string& alt_names,
                                                       const std::string& usage) const {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return ca_.issue({.common_name = name,
                    .alt_names = alt_names,
                    .extended_usage = usage,
                    .not_before = now - Days(1),
                    .not_after = now + Days(10)});
}

std::shared_ptr<const tunnel::TlsContext> ConsoleProcess::host_tls(const std::string& id) const {
  const auto pair = issue(id, "URI:urn:gallium:host:" + id, "clientAuth");
  return tunnel::TlsContext::create(
             tunnel::TlsRole::client,
             {.ca_pem = ca_.pem(),
              .certificate_pem = pair.certificate,
              .key_pem = pair.key,
              .names = {.ca = "ca", .certificate = id, .key = id}},
             {.server_name = "console.test", .wall_clock = {}, .clock_floor = {}})
      .value();
}

}  // namespace edge::swarm
