// One host of a load on a Console: the production session and dial engine, a journal in memory.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tunnel/core/session.hpp"
#include "tunnel/io/dialer.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::swarm {

/// What all hosts of a load did, counted as it happens.
struct SwarmCounts {
  std::size_t paths = 0;   ///< Attached now.
  std::size_t online = 0;  ///< Hosts with at least one attached path.
  std::size_t whole = 0;   ///< Hosts with all of their paths.
  std::vector<MonoTime> welcomes;
  std::uint64_t dials = 0;
  std::uint64_t sessions = 0;
  std::uint64_t commands = 0;        ///< Executed, each once.
  std::uint64_t answers_stored = 0;  ///< result_ack: the Console has them on disk.
  std::uint64_t commands_twice = 0;  ///< Came again after a restart; answered from the journal.
  std::uint64_t asked_to_wait = 0;   ///< GOAWAY or RETRY_LATER.
  std::map<std::string, std::uint64_t> failures;  ///< Of dials, by cause.
  std::map<std::string, std::uint64_t> deaths;    ///< Of attached paths, by cause.
};

struct SwarmHostOptions {
  std::string id;
  unsigned number = 0;  ///< Gives it addresses of its own in 127.0.0.0/8.
  HostPort endpoint;
  unsigned paths = 2;
  std::uint64_t seed = 1;
  std::size_t snapshot_bytes = 2048;
  Duration snapshot_period = std::chrono::seconds(10);
};

/// Time: one steady timer. Threads: the io_context's.
class SwarmHost {
 public:
  SwarmHost(boost::asio::io_context& io, SwarmCounts& counts, SwarmHostOptions options,
            std::shared_ptr<const tunnel::TlsContext> tls);
  ~SwarmHost();
  SwarmHost(const SwarmHost&) = delete;
  SwarmHost& operator=(const SwarmHost&) = delete;

  /// All cables in: it dials at once, then as the product's engine says.
  void start();
  const std::string& id() const { return options_.id; }
  std::size_t attached() const { return attached_; }

 private:
  /// One port with its connection.
  struct Link {
    Link(boost::asio::io_context& io, std::string port) : key{std::move(port), 0}, welcome(io) {}
    uplink::PathKey key;
    IpAddress source;
    PathId id{0};
    std::unique_ptr<tunnel::Dial> dial;
    std::unique_ptr<tunnel::TlsStream> stream;
    std::unique_ptr<tunnel::FrameDecoder> decoder;
    boost::asio::steady_timer welcome;
    bool attached = false;
  };

  tunnel::PathFacts facts_of(const Link& link) const;
  Link* find(PathId id);
  void dial(Link& link);
  void on_dialled(Link& link, tunnel::DialResult result);
  void on_bytes(Link& link, std::span<const std::byte> bytes);
  void on_handshake_frame(Link& link, const tunnel::Frame& frame);
  void fail(Link& link, const std::string& cause, uplink::PathBreak why);
  void drop(Link& link);
  void set_attached(Link& link, bool attached);

  void pump();
  void run(const tunnel::Action& action);
  void arm_timer();
  void on_message(tunnel::Channel channel, std::string_view text);
  void on_command(const std::string& id);
  void on_session_started();
  void say(tunnel::Channel channel, const boost::json::object& message);
  void say_result(const std::string& id);
  void add_event(std::string_view kind);
  void say_event(std::int64_t n, const std::string& kind);
  void send_snapshot();

  boost::asio::io_context& io_;
  SwarmCounts& counts_;
  SwarmHostOptions options_;
  std::shared_ptr<const tunnel::TlsContext> tls_;
  Random random_;
  uplink::PathEngine engine_;
  tunnel::Session session_;
  boost::asio::steady_timer timer_;
  std::optional<MonoTime> timer_at_;
  std::optional<MonoTime> snapshot_at_;
  std::vector<std::unique_ptr<Link>> links_;
  std::uint32_t next_path_ = 1;
  std::size_t attached_ = 0;
  bool pumping_ = false;

  std::set<std::string> executed_;
  std::set<std::string> unacked_;  ///< Results that the Console has not on disk.
  std::deque<std::pair<std::int64_t, std::string>> events_;  ///< Not acknowledged.
  std::int64_t next_event_ = 1;
};

}  // namespace edge::swarm
