#include "uplink/daemon/streams.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/net.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using tunnel::StreamId;
using tunnel::StreamRefusal;

/// One connection to a target that is not made yet. Handlers keep it alive; `done` silences them.
struct Streams::Dial {
  Dial(asio::io_context& io, StreamId id, std::string to)
      : stream(id), target(std::move(to)), resolver(io), socket(io), timer(io) {}
  StreamId stream;
  std::string target;
  tcp::resolver resolver;
  tcp::socket socket;
  asio::steady_timer timer;
  bool done = false;
};

Streams::Streams(asio::io_context& io, std::vector<std::string> allow, EventLog& events,
                 std::function<void()> on_output)
    : io_(io),
      allow_(std::move(allow)),
      events_(events),
      relay_(io.get_executor(), tunnel::Role::host, tunnel::StreamGrant{},
             {.on_output = std::move(on_output),
              .on_asked = [this](StreamId id, const std::string& target) { on_asked(id, target); },
              .on_withdrawn = [this](StreamId id) { give_up(id); },
              .on_refused = {},
              .on_opened = {},
              .on_closed =
                  [](StreamId id, const std::string& reason) {
                    spdlog::info("stream.closed stream={} reason=\"{}\"", id.value, reason);
                  }}) {}

Streams::~Streams() { forget_dials(); }

void Streams::cancel(Dial& dial) {
  dial.done = true;
  dial.timer.cancel();
  dial.resolver.cancel();
  error_code ignored;
  dial.socket.close(ignored);
}

void Streams::forget_dials() {
  for (const auto& [id, dial] : dials_) { cancel(*dial); }
  dials_.clear();
}

/// Nobody waits for it any more: its descriptor is not kept until the timer ends it.
void Streams::give_up(StreamId stream) {
  const auto found = dials_.find(stream);
  if (found == dials_.end()) { return; }
  cancel(*found->second);
  dials_.erase(found);
}

void Streams::start(std::optional<tunnel::StreamGrant> peer, tunnel::SessionId session) {
  forget_dials();  // Numbers begin anew: a late answer would be another stream's.
  relay_.start(peer, session);
}

boost::json::object Streams::json() const {
  return {{"open", relay_.stream_count()},
          {"dialling", dials_.size()},
          {"allowed", allow_.size()},
          {"bytes_in", relay_.bytes_in()},
          {"bytes_out", relay_.bytes_out()}};
}

void Streams::on_asked(StreamId stream, const std::string& target) {
  const bool allowed = std::ranges::find(allow_, target) != allow_.end();
  if (!allowed) {
    if (const auto unsaid = refusals_.pass(mono_now())) {
      spdlog::warn("stream.refused stream={} target={}: not in streams_allow", stream.value,
                   target);
      boost::json::object data{{"target", target}, {"reason", "not in streams_allow"}};
      if (*unsaid > 0) { data["unsaid_before"] = *unsaid; }
      events_.add("stream.refused", std::move(data));
    }
    relay_.refuse(stream, StreamRefusal::not_allowed,
                  fmt::format("{} is not in this host's [tunnel] streams_allow", target));
    return;
  }
  dial(stream, target);
}

void Streams::dial(StreamId stream, const std::string& target) {
  const auto parsed = parse_host_port(target);
  if (!parsed) { return relay_.refuse(stream, StreamRefusal::unreachable, parsed.error().what); }
  if (dials_.size() >= dials_max || *resolving_ >= dials_max) {
    return relay_.refuse(stream, StreamRefusal::busy,
                         fmt::format("{} connections are being made", dials_max));
  }
  const auto made = std::make_shared<Dial>(io_, stream, target);
  dials_[stream] = made;
  made->timer.expires_after(dial_timeout);
  made->timer.async_wait([this, made](const error_code& ec) {
    if (!ec && !made->done) {
      finish(made, fmt::format("{}: no answer within {} s", made->target, dial_timeout.count()));
    }
  });
  connect(made, parsed->host, parsed->port);
}

/// Numbers need no resolver, and its thread.
void Streams::connect(const std::shared_ptr<Dial>& dial, const std::string& host,
                      std::uint16_t port) {
  const auto connected = [this, dial](const error_code& ec, const tcp::endpoint&) {
    if (!dial->done) {
      finish(dial, ec ? fmt::format("{}: {}", dial->target, ec.message()) : std::string());
    }
  };
  error_code not_a_number;
  const auto address = asio::ip::make_address(host, not_a_number);
  if (!not_a_number) {
    const std::array<tcp::endpoint, 1> only{tcp::endpoint(address, port)};
    return asio::async_connect(dial->socket, only, connected);
  }
  ++*resolving_;
  dial->resolver.async_resolve(host, std::to_string(port),
                               [this, dial, connected, resolving = resolving_](
                                   const error_code& ec, const tcp::resolver::results_type& found) {
                                 --*resolving;
                                 if (dial->done) { return; }
                                 if (ec) {
                                   return finish(dial,
                                                 fmt::format("{}: {}", dial->target, ec.message()));
                                 }
                                 asio::async_connect(dial->socket, found, connected);
                               });
}

void Streams::finish(const std::shared_ptr<Dial>& dial, const std::string& problem) {
  dial->done = true;
  dial->timer.cancel();
  dial->resolver.cancel();
  dials_.erase(dial->stream);
  if (problem.empty()) {
    spdlog::info("stream.opened stream={} target={}", dial->stream.value, dial->target);
    return relay_.attach(dial->stream, std::move(dial->socket));
  }
  spdlog::warn("stream.unreachable stream={} reason=\"{}\"", dial->stream.value, problem);
  error_code ignored;
  dial->socket.close(ignored);
  relay_.refuse(dial->stream, StreamRefusal::unreachable, problem);
}

}  // namespace edge::uplink
