// The path engine and the session as one: an order to dial becomes a connection, what becomes of it
// is told to both. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tunnel/core/session.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

/// What a connection is to its path.
enum class LinkRole : std::uint8_t {
  main,       ///< The path's connection, or the dial that becomes it.
  successor,  ///< Takes main's place once it is welcomed: the Console asked to come again.
  proof,      ///< The same, with an identity that is new; no more than one.
  retired,    ///< Its place is taken.
};

// --- what the shell must do, in this order ------------------------------------------------------

/// Begin a dial: greet() when TLS stands, on_dial_failed() when it does not.
struct DialOrder {
  PathId path{0};
  PathKey key;
  LinkRole role = LinkRole::main;
  /// What vanished on this path before may have been too large.
  bool small_segments = false;
};
/// Give the dial up, or close the connection; nothing about it is wanted any more.
struct CloseOrder {
  PathId path{0};
};

// --- what the shell may want to tell ------------------------------------------------------------

/// Welcomed: only now the path counts.
struct PathUp {
  PathId path{0};
  PathKey key;
};
/// A path that counted ended.
struct PathDown {
  PathId path{0};
  PathKey key;
  tunnel::PathCause cause = tunnel::PathCause::silence;
  std::string detail;
  bool by_peer = false;
  bool ordered = false;  ///< By the path engine, which knows why.
  PathBreak why;
};
struct DialFailed {
  PathKey key;
  PathBreak why;
};
struct ProofEnded {
  bool welcomed = false;
  bool rejected = false;  ///< By the Console, for what was shown.
  std::string what;       ///< Of one that was not welcomed.
};

/// Of the session's own actions: SendBytes only for connections that stand; PathDead not at all.
using Order =
    std::variant<DialOrder, CloseOrder, PathUp, PathDown, DialFailed, ProofEnded, tunnel::Action>;

/// How a dial, or a connection that was not welcomed yet, ended.
struct DialEnd {
  PathBreak why;
  bool rejected = false;   ///< By the Console, for the identity that was shown.
  bool too_large = false;  ///< Small packets came through, and the first large ones did not.
};

/// What the shell says to a WELCOME, before it counts.
struct WelcomeVerdict {
  enum class Kind : std::uint8_t {
    keep,
    dial_again,  ///< It was judged by a clock that is set now.
    refuse,
  } kind = Kind::keep;
  PathBreak why;  ///< Of refuse.
};

/// What a HELLO says besides what the session knows.
struct Greeting {
  tunnel::PathFacts facts;  ///< `wire_id` is set here.
  WallTime wall{};
  std::size_t fill = 0;             ///< As in Hello.
  std::optional<IpAddress> source;  ///< The connection's own address; see PathEngine::on_welcome.
};

/// The step that a path which the session gave up is broken at.
PathBreak break_of(const tunnel::PathDead& dead);
/// What was sent may have vanished for its size: a broken path MTU drops large packets without a
/// word (RFC 2923 2.1).
/// A stall of ours is among them: the connection fell silent all the same.
bool may_have_been_too_large(tunnel::PathCause cause);
/// How long an address that said goodbye is left alone: what it offers has its turn, and the time
/// of a dial, before it.
Duration wait_of(const tunnel::Goaway& goaway);

/// Role: what stands between PathEngine, Session and the connections of a host.
///
/// Use: call an input of this class, of engine() or of session(); then execute take_orders() until
/// there are none; then arm one timer for next_deadline().
/// Time: `now` is monotonic. Threads: none.
/// Invariant: a path that is up for the engine is attached to the session, over its main
/// connection; one that is being dialled has one dial. A Console that asks to come again keeps its
/// connection until the next one is welcomed.
class TunnelPaths {
 public:
  /// From greet() on, or the path does not count. Source: facts/tunnel.md 5.5.
  static constexpr std::chrono::seconds welcome_timeout{3};
  using Judge = std::function<WelcomeVerdict(PathId, const tunnel::Welcome&)>;

  /// `judge` is asked from inside on_bytes() and must not call back.
  TunnelPaths(tunnel::SessionOptions options, Random random, Judge judge);

  PathEngine& engine() { return engine_; }
  const PathEngine& engine() const { return engine_; }
  tunnel::Session& session() { return session_; }
  const tunnel::Session& session() const { return session_; }

  void set_endpoints(std::vector<std::size_t> endpoints, MonoTime now);
  void remove_port(const std::string& port, MonoTime now);

  /// TLS stands: says HELLO.
  void greet(PathId path, Greeting greeting, MonoTime now);
  /// A connection that was not welcomed so far ended, or never came to be.
  void on_dial_failed(PathId path, const DialEnd& end, MonoTime now);
  void on_bytes(PathId path, std::span<const std::byte> bytes, MonoTime now);
  /// A welcomed connection ended by itself.
  void on_lost(PathId path, tunnel::PathCause cause, const std::string& detail, MonoTime now);
  /// Its write queue is full.
  void on_write_refused(PathId path, MonoTime now);

  /// Dials once more over a path that is up, a standby one if there is one; nullopt: none is up.
  std::optional<PathId> prove();
  /// ProofEnded comes, if there is a proof.
  void end_proof(ProofEnded outcome, MonoTime now);
  /// While held nothing is dialled.
  void hold(bool held) { held_ = held; }

  std::vector<Order> take_orders(MonoTime now);
  std::optional<MonoTime> next_deadline() const;
  void on_deadline(MonoTime now);

  bool attached(PathId path) const;
  /// The path's connection, or the dial that becomes it.
  std::optional<PathId> main_of(const PathKey& key) const;
  std::optional<PathKey> active_path() const;
  std::size_t link_count() const { return links_.size(); }

 private:
  struct Ended {
    tunnel::PathCause cause;
    std::string detail;
  };
  struct Link {
    PathKey key;
    LinkRole role = LinkRole::main;
    bool attached = false;
    std::optional<MonoTime> welcome_due;  ///< HELLO was said.
    tunnel::FrameDecoder decoder;
    Greeting greeting;
    /// Ended while another one waits for its WELCOME: most likely the Console let it go for that.
    std::optional<Ended> ended;
  };
  using Links = std::map<PathId, Link>;

  Link* find(PathId path);
  const Link* find(PathId path) const;
  std::optional<PathId> in_role(const PathKey& key, LinkRole role) const;
  bool greeted(const PathKey& key) const;
  PathId begin(const PathKey& key, LinkRole role);
  void drop(PathId path);
  void fail(PathId path, const DialEnd& end, MonoTime now);
  void end_proof_of(const PathKey& key, std::string what, MonoTime now);
  void settle_ended(const PathKey& key, MonoTime now);
  void run(const PathAction& action, MonoTime now);
  void close(const PathAction& action, MonoTime now);
  void run(tunnel::Action action, MonoTime now);
  void on_dead(const tunnel::PathDead& dead, MonoTime now);
  void on_handshake_frame(PathId path, const tunnel::Frame& frame, MonoTime now);
  void on_refusal(PathId path, const tunnel::Frame& frame, MonoTime now);
  void on_welcome(PathId path, const tunnel::Welcome& welcome, MonoTime now);
  void attach(PathId path, const tunnel::Welcome& welcome, MonoTime now);
  void come_later(const PathKey& key, const tunnel::Goaway& goaway, MonoTime now);

  PathEngine engine_;
  tunnel::Session session_;
  Judge judge_;
  Links links_;
  /// Until their port is gone.
  std::set<PathKey> small_segments_;
  std::vector<Order> orders_;
  std::uint32_t next_path_ = 1;
  bool held_ = false;
};

}  // namespace edge::uplink
