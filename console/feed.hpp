// Live updates to whoever listens over HTTP: durable events by number, the rest as it happens.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace edge::console {

/// One listener. It reads durable events from the database behind its own cursor, so that it gets
/// each once and in order however slow it is; updates wait here, and the oldest go when there are
/// too many.
struct Subscriber {
  static constexpr std::size_t updates_max = 256;
  static constexpr std::size_t updates_bytes_max = 1UZ << 20;  ///< Or one of any size.
  explicit Subscriber(boost::asio::io_context& io) : wake(io) {}

  boost::asio::steady_timer wake;   ///< Cancelled when there is something to read.
  std::deque<std::string> updates;  ///< Whole blocks of the event stream.
  std::size_t updates_bytes = 0;
  bool ended = false;

  /// All that wait, in order.
  std::string take();
};

/// Threads: the io_context's.
class Feed {
 public:
  explicit Feed(boost::asio::io_context& io) : io_(io) {}

  std::shared_ptr<Subscriber> subscribe();
  /// Durable events up to `seq` are in the database.
  void events_stored(std::int64_t seq);
  std::int64_t last_seq() const { return last_seq_; }
  void set_last_seq(std::int64_t seq) { last_seq_ = seq; }
  /// False: nobody would hear an update, so none need be made.
  bool heard() const;
  /// An update that is only worth knowing now. `json` has no line breaks.
  void update(std::string_view event, std::string_view json);
  void end();

 private:
  template <class Do>
  void each(Do act);

  boost::asio::io_context& io_;
  std::list<std::weak_ptr<Subscriber>> subscribers_;
  std::int64_t last_seq_ = 0;
};

}  // namespace edge::console
