// uplink.toml as a value: parsed whole, or every problem listed with its line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/net.hpp"

namespace edge::uplink {

/// The daemon's configuration. Names and defaults: interfaces.md, "uplink.toml". Paths of files are
/// relative to the folder of the configuration file unless absolute.
struct Config {
  struct Host {
    std::string id;  ///< Must equal the certificate's URI SAN urn:gallium:host:<id>; "" = take it
                     ///< from there.
  } host;
  struct Paths {
    std::string state = "/var/lib/uplink";
    std::string runtime = "/run/uplink";
  } paths;
  struct Adapters {
    std::vector<std::string> match;   ///< Name globs. Empty: every netdev backed by a bus device.
    std::vector<std::string> ignore;  ///< Wins over match.
  } adapters;
  struct Console {
    std::vector<HostPort> endpoints;  ///< 1..8, in order of preference.
    std::string server_name;          ///< DNS SAN that the Console must show.
    std::string ca;
    std::string certificate;  ///< Empty: none yet.
    std::string key;
  } console;
  struct Tunnel {
    unsigned heartbeat_ms = 250;  ///< 50..10000, of the active path.
    unsigned dead_after = 3;      ///< 2..20 heartbeats of silence.
    std::vector<std::string> streams_allow;
  } tunnel;
  struct Status {
    std::string listen = "127.0.0.1:8480";  ///< Empty: off.
  } status;
  struct Taps {
    std::string owner = "root";  ///< User that may open the taps (the VM manager's).
  } taps;
  struct Log {
    std::string level = "info";  ///< error, warn, info, debug
  } log;
};

/// What is wrong with a configuration; one line each: "uplink.toml:7: ...".
using ConfigProblems = std::vector<std::string>;

/// Parses and validates. `file` is only for the messages; relative file names are resolved against
/// `folder`. Errors: all problems, never a part of a configuration.
std::expected<Config, ConfigProblems> parse_config(std::string_view text, const std::string& file,
                                                   const std::string& folder);

/// True if `name` matches the glob (`*` and `?` only; fnmatch(3) without brackets).
bool glob_matches(std::string_view glob, std::string_view name);

}  // namespace edge::uplink
