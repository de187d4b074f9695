// Measures the resident memory of one idle, authenticated TLS connection at each of its ends.
#include <sys/resource.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <fstream>

#include "tests/unit/tunnel_io/test_pki.hpp"
#include "tunnel/io/dialer.hpp"
#include "tunnel/io/listener.hpp"

namespace {

using namespace edge;
using namespace edge::tunnel;
using testing_support::PemPair;
using testing_support::TestCa;

constexpr std::size_t pairs = 2000;

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) { return std::strtol(line.c_str() + 6, nullptr, 10); }
  }
  return 0;
}

std::shared_ptr<const TlsContext> context(TlsRole role, const TestCa& ca, const PemPair& pair) {
  const TlsMaterial material{
      .ca_pem = ca.pem(), .certificate_pem = pair.certificate, .key_pem = pair.key, .names = {}};
  return TlsContext::create(role, material,
                            {.server_name = "console.test",
                             .wall_clock = [] { return testing_support::pki_now; },
                             .clock_floor = {}})
      .value();
}

/// One connection: kept by the vectors, started and idle after one message each way.
struct Ends {
  std::vector<std::unique_ptr<TlsStream>> console;
  std::vector<std::unique_ptr<TlsStream>> host;
  std::size_t heard = 0;
};

void start(TlsStream& stream, Ends& ends) {
  stream.start({.on_bytes = [&ends](std::span<const std::byte>) { ++ends.heard; },
                .on_closed = [](const PathError& why) { fmt::print("closed: {}\n", why.text); },
                .on_drained = {}});
  const auto hello = std::make_shared<const std::vector<std::byte>>(200);
  if (!stream.send(hello)) { fmt::print("send refused\n"); }
}

}  // namespace

int main() {
  rlimit files{.rlim_cur = 65536, .rlim_max = 65536};
  setrlimit(RLIMIT_NOFILE, &files);
  const TestCa ca("Bench CA");
  const auto client = context(TlsRole::client, ca, ca.host("hv-01"));
  const auto server = context(TlsRole::server, ca, ca.console("DNS:console.test"));
  boost::asio::io_context io;
  Ends ends;
  auto listener =
      Listener::open(io.get_executor(), server, {.address = IpAddress::v4(127, 0, 0, 1), .port = 0},
                     {.on_stream =
                          [&](std::unique_ptr<TlsStream> stream) {
                            start(*stream, ends);
                            ends.console.push_back(std::move(stream));
                          },
                      .admit = {},
                      .on_refused = {}})
          .value();
  long before = 0;
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < pairs + 100; ++i) {
    if (i == 100) { before = resident_kib(); }  // The first ones pay for the libraries.
    DialRequest request;
    request.endpoint = {"127.0.0.1", listener->port()};
    Dial dial(io.get_executor(), client, request, [&](DialResult result) {
      start(*result.value().stream, ends);
      ends.host.push_back(std::move(result->stream));
    });
    while (ends.heard < 2 * (i + 1)) { io.run_one(); }
  }
  const auto spent = std::chrono::steady_clock::now() - began;
  const double per_end = static_cast<double>(resident_kib() - before) / (2.0 * pairs);
  fmt::print(
      "{} idle connections: {:.1f} KiB resident per end; {:.2f} ms per handshake, both ends\n",
      pairs, per_end, std::chrono::duration<double, std::milli>(spent).count() / (pairs + 100));
  return 0;
}
