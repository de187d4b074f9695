// The real Console as a child process with a folder, certificates and ports of its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "tests/unit/store/temp_folder.hpp"
#include "tests/unit/tunnel_io/test_pki.hpp"
#include "tunnel/io/tls_context.hpp"

namespace edge::swarm {

/// Threads: one. Destroying it ends the process and removes the folder.
class ConsoleProcess {
 public:
  static constexpr std::string_view token = "swarm-token-123";

  /// `program`: path of uplink-console. `extra`: more lines for its console.toml. Nothing runs yet.
  explicit ConsoleProcess(std::string program, const std::string& extra = "");
  ~ConsoleProcess();
  ConsoleProcess(const ConsoleProcess&) = delete;
  ConsoleProcess& operator=(const ConsoleProcess&) = delete;

  /// Begins a run; it is ready when answers().
  void start();
  bool answers() const;
  /// Pre: it runs. It has ended when ended().
  void signal(int number) const;
  /// True also before the first run.
  bool ended();

  std::uint16_t tunnel_port() const { return tunnel_port_; }
  std::uint16_t http_port() const { return http_port_; }
  pid_t pid() const { return pid_; }
  long resident_kib() const;
  /// User and system time of the process that runs now.
  std::chrono::milliseconds cpu() const;
  std::string log() const;

  /// The context of a host with this id.
  std::shared_ptr<const tunnel::TlsContext> host_tls(const std::string& id) const;

 private:
  tunnel::testing_support::PemPair issue(const std::string& name, const std::string& alt_names,
                                         const std::string& usage) const;

  std::string program_;
  store::TempFolder folder_;
  tunnel::testing_support::TestCa ca_{"Swarm CA"};
  std::uint16_t tunnel_port_ = 0;
  std::uint16_t http_port_ = 0;
  pid_t pid_ = -1;
};

/// uplink-console beside this program; empty: it is not there.
std::string console_beside_this_program();

}  // namespace edge::swarm
