// console.toml as a value: parsed whole, or every problem listed with its line.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.hpp"

namespace edge::console {

/// Paths of files are relative to the folder of the configuration file unless absolute.
struct Config {
  struct Listen {
    std::vector<HostPort> tunnel;  ///< 1..16 IP addresses with port.
    HostPort http{.host = "127.0.0.1", .port = 8080};
  } listen;
  struct Tls {
    std::string ca;           ///< That signs host certificates.
    std::string certificate;  ///< Of the Console, with intermediates.
    std::string key;
  } tls;
  /// Signs the renewed certificates of hosts; without it they are renewed by hand.
  struct Signer {
    std::string ca;           ///< PEM: the CA that signs. Must lead to one in tls.ca.
    std::string key;          ///< Of it.
    unsigned days = 90;       ///< 1..3650: for which it signs.
    unsigned spread_s = 600;  ///< 0..86400: within which hosts come that all want a new one.
  } signer;
  struct Paths {
    std::string state = "/var/lib/uplink-console";  ///< Folder of console.db.
  } paths;
  struct Http {
    std::string token;               ///< Bearer token of the API, 8..256 visible characters.
    unsigned connections_max = 256;  ///< 4..4096
  } http;
  struct Timers {
    unsigned heartbeat_ms =
        250;                  ///< 50..10000: the fastest this Console offers; the slower end wins.
    unsigned dead_after = 3;  ///< 2..20
    unsigned detach_ttl_s = 600;  ///< 10..86400: how long a session waits for its host.
  } timers;
  struct Limits {
    unsigned handshakes_per_s = 250;    ///< 10..10000, over all tunnel addresses together.
    unsigned heartbeats_per_s = 4'000;  ///< 100..1000000: PINGs sent; beyond, hosts beat slower.
    unsigned memory_mib = 0;  ///< 0..1048576: resident; above it, no new sessions. 0: no limit.
    /// 16..1048576: waiting for all hosts together; above it no new sessions, and streams wait.
    unsigned queued_mib = 512;
  } limits;
  struct Log {
    std::string level = "info";  ///< error, warn, info, debug
  } log;
};

/// One line each: "console.toml:7: ...".
using ConfigProblems = std::vector<std::string>;

/// Parses and validates. `file` is only for the messages; relative file names are resolved against
/// `folder`. Errors: all problems, never a part of a configuration.
std::expected<Config, ConfigProblems> parse_config(std::string_view text, const std::string& file,
                                                   const std::string& folder);

}  // namespace edge::console
