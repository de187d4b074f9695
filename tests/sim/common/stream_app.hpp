// Applications of byte streams in the simulation: each byte is known to both ends and checked.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/random.hpp"
#include "tunnel/core/stream_feed.hpp"

namespace edge::sim {

/// Reports a broken invariant; the first one names the seed's failure.
using Report = std::function<void(std::string)>;

/// One end's streams. Each direction carries its own length (8 bytes), then that many bytes, then
/// EOF. The reader is slow at times; some streams are reset, some refused.
class StreamApp {
 public:
  StreamApp(tunnel::Role role, std::optional<tunnel::StreamGrant> own, std::uint64_t seed,
            const Report& report)
      : mux_(role, own.value_or(tunnel::StreamGrant{})),
        own_(own.value_or(tunnel::StreamGrant{})),
        role_(role),
        random_(seed ^ 0x5eed),
        report_(report) {}

  void on_session_started(std::optional<tunnel::StreamGrant> peer, tunnel::SessionId session);
  void on_payload(const tunnel::Bytes& payload);
  void feed(tunnel::Session& session, MonoTime now);
  /// Reads, writes, and sometimes opens a new stream while `busy`.
  void tick(bool busy);

  /// Streams are there that are not over.
  bool busy() const { return mux_.stream_count() > 0; }
  bool within_bounds() const { return mux_.unconsumed_bytes() <= own_.session_window; }
  std::uint64_t bytes_received() const { return bytes_received_; }

 private:
  struct Flow {
    std::uint64_t write_total = 0;
    std::uint64_t written = 0;
    bool finished = false;
    std::uint64_t read_total = 0;
    std::uint64_t read = 0;
    std::size_t held = 0;  ///< Read and not consumed.
    bool open = false;
  };
  void run_actions();
  void act(const tunnel::StreamAction& action);
  void on_data(const tunnel::StreamData& data);
  void write(tunnel::StreamId id, Flow& flow);
  tunnel::ByteSpan piece(tunnel::StreamId id, std::uint64_t offset, std::size_t size,
                         bool ours) const;

  tunnel::StreamMux mux_;
  tunnel::StreamGrant own_;
  tunnel::Role role_;
  Random random_;
  const Report& report_;
  std::map<tunnel::StreamId, Flow> flows_;
  bool starting_ = false;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace edge::sim
