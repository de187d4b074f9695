// What the tests of this room share: one io_context, a Console's listener and a host's dial,
// bounded waits.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "test_pki.hpp"
#include "tunnel/io/dialer.hpp"
#include "tunnel/io/listener.hpp"
#include "tunnel/io/tls_context.hpp"

namespace edge::tunnel::testing_support {

using namespace std::chrono_literals;

inline const IpAddress loopback = IpAddress::v4(127, 0, 0, 1);

inline SharedBytes bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return std::make_shared<const std::vector<std::byte>>(begin, begin + text.size());
}

/// One end of a connection with everything it heard.
struct Peer {
  std::unique_ptr<TlsStream> stream;
  std::string heard;
  std::optional<PathError> closed;
  bool keep_bytes = true;
  std::uint64_t heard_bytes = 0;

  void start() {
    stream->start({.on_bytes =
                       [this](std::span<const std::byte> bytes) {
                         heard_bytes += bytes.size();
                         if (keep_bytes) {
                           heard.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                         }
                       },
                   .on_closed = [this](const PathError& why) { closed = why; },
                   .on_drained = {}});
  }
  bool send(std::string_view text) { return stream->send(bytes_of(text)); }
};

class TunnelIoTest : public testing::Test {
 protected:
  /// Runs the loop until `ready`; false when 10 s were not enough.
  bool run_until(const std::function<bool()>& ready, Duration limit = 10s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!ready()) {
      if (std::chrono::steady_clock::now() >= end) { return false; }
      io.restart();
      io.run_one_for(20ms);
    }
    return true;
  }

  TlsMaterial material(const std::string& ca_pem, const PemPair& pair) const {
    return {.ca_pem = ca_pem,
            .certificate_pem = pair.certificate,
            .key_pem = pair.key,
            .names = {.ca = "ca.pem", .certificate = "own.pem", .key = "own.key"}};
  }
  TlsOptions options(WallTime now = pki_now) const {
    return {.server_name = "console.test", .wall_clock = [now] { return now; }, .clock_floor = {}};
  }
  std::shared_ptr<const TlsContext> context(TlsRole role, const PemPair& pair,
                                            std::optional<TlsOptions> with = {}) {
    auto made = TlsContext::create(role, material(ca.pem(), pair), with.value_or(options()));
    EXPECT_TRUE(made) << made.error().what;
    return made.value();
  }
  std::shared_ptr<const TlsContext> host_context() {
    return context(TlsRole::client, ca.host("hv-01"));
  }
  std::shared_ptr<const TlsContext> console_context() {
    return context(TlsRole::server, ca.console("DNS:console.test"));
  }

  /// A listener on 127.0.0.1 that keeps what it accepts and what it refuses.
  void listen(std::shared_ptr<const TlsContext> tls, ListenerLimits limits = {}) {
    auto opened = Listener::open(
        io.get_executor(), std::move(tls),
        {.address = loopback, .port = 0, .limits = limits, .stream = server_stream_limits},
        {.on_stream =
             [this](std::unique_ptr<TlsStream> stream) {
               accepted.push_back(std::make_unique<Peer>());
               accepted.back()->stream = std::move(stream);
               accepted.back()->start();
             },
         .admit = {},
         .on_refused = [this](const IpAddress&, const PathError& why) { refused.push_back(why); }});
    ASSERT_TRUE(opened) << opened.error().what;
    listener = std::move(*opened);
    port = listener->port();
  }

  DialRequest request_to(std::uint16_t to_port) const {
    DialRequest out;
    out.endpoint = {"127.0.0.1", to_port};
    out.limits.connect = 2s;
    out.limits.tls = 2s;
    return out;
  }

  /// Dials and waits for the outcome.
  DialResult dial_now(std::shared_ptr<const TlsContext> tls, DialRequest request) {
    std::optional<DialResult> result;
    Dial running(io.get_executor(), std::move(tls), std::move(request),
                 [&](DialResult outcome) { result = std::move(outcome); });
    if (!run_until([&] { return result.has_value(); })) {
      ADD_FAILURE() << "the dial did not end within 10 s";
      return std::unexpected(DialFailure{});
    }
    return std::move(*result);
  }

  /// A connected pair: `host` dialled, accepted[0] is the Console's end.
  void connect_pair() {
    listen(console_context());
    auto result = dial_now(host_context(), request_to(port));
    ASSERT_TRUE(result) << result.error().error.text;
    host.stream = std::move(result->stream);
    host.start();
    ASSERT_TRUE(run_until([&] { return !accepted.empty(); }));
  }
  Peer& console() { return *accepted.front(); }

  asio::io_context io;
  TestCa ca{"Gallium Test CA"};
  StreamLimits server_stream_limits;
  std::unique_ptr<Listener> listener;
  std::uint16_t port = 0;
  std::vector<std::unique_ptr<Peer>> accepted;
  std::vector<PathError> refused;
  Peer host;
};

}  // namespace edge::tunnel::testing_support
