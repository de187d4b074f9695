// uplink.toml as a value: parsed whole, or every problem listed with its line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/net.hpp"
#include "uplink/core/http_url.hpp"

namespace edge::uplink {

/// The daemon's configuration. Names and defaults: interfaces.md, "uplink.toml". Paths of files are
/// relative to the folder of the configuration file unless absolute.
struct Config {
  /// `[[tunnel.proxies]]`: an HTTP proxy in the way of some ports.
  struct Proxy {
    std::string adapter = "*";   ///< Name glob of the port.
    std::optional<HttpUrl> url;  ///< "http://[USER:PASSWORD@]HOST:PORT"; "direct": none, and no
                                 ///< later entry either.
  };
  static constexpr std::size_t proxies_max = 32;
  /// The proxy of the port with this name; nullptr: none.
  const HttpUrl* proxy_of(std::string_view port) const;
  /// What kind of link a port is, as the configuration says; the kernel knows of the others.
  enum class LinkKind : std::uint8_t { unsaid, wifi, mobile };
  LinkKind link_kind_of(std::string_view port) const;
  /// Each byte costs: nothing is mirrored there.
  bool is_metered(std::string_view port) const;

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
    std::vector<std::string> metered;  ///< Name globs of ports, at most 64 in each list.
    std::vector<std::string> wifi;     ///< Those of which the kernel does not say it,
    std::vector<std::string> mobile;   ///< ... a modem that looks like a card, say.
    std::vector<Proxy> proxies;        ///< The first one whose adapter fits a port is that port's.
    /// "http://HOST[:PORT]/PATH": asked when a dial fails; a page or a redirect instead of 204 is a
    /// captive portal's. Unset: only plain HTTP in answer to TLS shows one.
    std::optional<HttpUrl> portal_check;
    /// What a clock that is certainly wrong does to certificates; see uplink/README.md, "A wrong
    /// clock".
    enum class ClockTrust : std::uint8_t { bounded, strict } clock_trust = ClockTrust::bounded;
    bool set_clock = true;  ///< Such a clock is set to the Console's time.
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
