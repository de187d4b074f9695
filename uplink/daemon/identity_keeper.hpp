// Renews this host's identity: runs what the engine orders, with files, keys and the tunnel.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "store/io/store_worker.hpp"
#include "tunnel/core/identity_messages.hpp"
#include "uplink/core/renewal.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/identities.hpp"

namespace edge::uplink {

/// How a connection with a new identity went.
struct ProofOutcome {
  bool welcomed = false;
  bool rejected = false;  ///< The identity is what did not fit; else the network, or the Console.
  std::string what;
};

/// Time: one steady timer for the engine. Threads: the io_context's; files are written by the
/// store's worker, because a sync may take long.
class IdentityKeeper {
 public:
  struct Hooks {
    /// Sends on channel 1. Errors: no session, back-pressure.
    std::function<Result<void>(std::string_view)> send;
    /// Connects once with it, beside what stands; says once how it went, never from inside.
    std::function<void(Identities::Context, std::function<void(ProofOutcome)>)> prove;
    std::function<bool()> online;
    std::function<void()> changed;  ///< What view() says is different now.
  };

  IdentityKeeper(boost::asio::io_context& io, Identities& identities, store::StoreWorker& store,
                 EventLog& events, Hooks hooks, std::uint64_t seed);

  void session_started();
  /// Paths came or went, or another identity is shown.
  void on_change();
  /// A message of channel 1: true when it was about identities.
  bool take(const boost::json::object& message);
  /// A person wants a renewal now. Errors: as Renewal::order.
  Result<void> order();
  void stop();

  /// As Identities::view, and "renewal": {"state", "due", "last": {"time", "result", "what"}}.
  boost::json::object view() const;
  std::string problem() const { return identities_.problem(); }

 private:
  void pump();
  void run(Renewal::Action action);
  void ask();
  void keep();
  void prove();
  void adopt();
  void mark();
  void on_answer(const tunnel::RenewAnswer& answer);
  void fail_step(const std::string& what);
  void arm();

  Identities& identities_;
  store::StoreWorker& store_;
  EventLog& events_;
  Hooks hooks_;
  Renewal engine_;
  boost::asio::steady_timer timer_;
  std::string request_id_;
  std::string key_pem_;  ///< Of the request under way; on disk only with its certificate.
  StoredIdentity coming_;
  Identities::Context candidate_;
  IdentitySource slot_ = IdentitySource::slot_a;
  bool marking_ = false;
  bool pumping_ = false;
  bool stopped_ = false;
};

}  // namespace edge::uplink
