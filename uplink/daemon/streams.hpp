// The host's end of byte streams: dials what the Console asks for, where the configuration allows
// it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

#include "base/throttle.hpp"
#include "tunnel/io/stream_relay.hpp"
#include "uplink/daemon/events.hpp"

namespace edge::uplink {

/// Role: the streams of one session. A target that is not in `[tunnel] streams_allow` is refused by
/// name, before anything is resolved or dialled.
/// Time: one steady timer per dial. Threads: the io_context's (names: Asio's resolver thread).
class Streams {
 public:
  static constexpr std::chrono::seconds dial_timeout{10};
  static constexpr std::size_t dials_max = 256;  ///< Under way; names being resolved, too.

  /// `on_output`: run the session, it has something to send.
  Streams(boost::asio::io_context& io, std::vector<std::string> allow, EventLog& events,
          std::function<void()> on_output);
  ~Streams();

  /// A new session: streams and dials of the one before are over. nullopt: without streams.
  void start(std::optional<tunnel::StreamGrant> peer, tunnel::SessionId session);
  /// Errors: corrupt, the peer broke the protocol; all streams of the session are over.
  Result<void> on_frame(tunnel::ByteSpan payload) { return relay_.on_frame(payload); }
  bool feed(tunnel::Session& session, MonoTime now) { return relay_.feed(session, now); }
  /// For views: {"open","dialling","allowed","bytes_in","bytes_out"}.
  boost::json::object json() const;

 private:
  struct Dial;
  void on_asked(tunnel::StreamId stream, const std::string& target);
  void dial(tunnel::StreamId stream, const std::string& target);
  void connect(const std::shared_ptr<Dial>& dial, const std::string& host, std::uint16_t port);
  void finish(const std::shared_ptr<Dial>& dial, const std::string& problem);
  static void cancel(Dial& dial);
  void give_up(tunnel::StreamId stream);
  void forget_dials();

  /// Refusals are events, which are kept: a Console that asks in a loop must not fill the store.
  Throttle refusals_{10, std::chrono::minutes(1)};

  boost::asio::io_context& io_;
  std::vector<std::string> allow_;
  EventLog& events_;
  std::map<tunnel::StreamId, std::shared_ptr<Dial>> dials_;
  /// A resolver that was cancelled still holds its place in the thread's queue.
  std::shared_ptr<std::size_t> resolving_ = std::make_shared<std::size_t>(0);
  tunnel::StreamRelay relay_;
};

}  // namespace edge::uplink
