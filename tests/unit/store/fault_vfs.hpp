// A sqlite3_vfs around the default one that fails chosen writes, and knows what a power cut would
// leave.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace edge::store {

/// Counts every call that changes the disk (write, sync, truncate, delete, create) from arm() on,
/// and fails the chosen one: once, or that and all after it. Registered for its lifetime; one at a
/// time. Threads: one store at a time; arm(), fired() and calls() from any.
class FaultVfs {
 public:
  enum class Fault { io_error, disk_full };
  enum class Lasting { once, from_then_on };

  FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  ~FaultVfs();

  static constexpr const char* kName = "edge-fault";

  /// The `nth` changing call from now on fails; counts from 1.
  void arm(std::uint64_t nth, Fault fault, Lasting lasting);
  void disarm() { nth_ = 0; }
  bool fired() const { return fired_; }
  std::uint64_t calls() const { return calls_; }

  /// The bytes of each file as they would be found after a power cut now: all that was synced, and
  /// of what was written since a random choice of 512-byte sectors, `kept_percent` of them.
  std::map<std::string, std::vector<std::uint8_t>> after_power_cut(
      Random& random, unsigned kept_percent = 50) const;

  // Called by the file methods.
  int next_call(int io_code);
  void opened(const std::string& path);
  void wrote(const std::string& path, const void* data, int bytes, sqlite3_int64 offset);
  void truncated(const std::string& path, sqlite3_int64 size);
  void synced(const std::string& path);
  void deleted(const std::string& path);

 private:
  struct Write {
    std::size_t offset = 0;
    std::vector<std::uint8_t> bytes;
    std::optional<std::size_t> truncate_to;
  };
  struct Image {
    std::vector<std::uint8_t> durable;
    std::vector<Write> pending;
  };
  static void apply(std::vector<std::uint8_t>& content, const Write& write);

  sqlite3_vfs vfs_{};
  std::atomic<std::uint64_t> nth_ = 0;  ///< 0: none.
  std::atomic<Fault> fault_ = Fault::io_error;
  std::atomic<Lasting> lasting_ = Lasting::once;
  std::atomic<bool> fired_ = false;
  std::atomic<std::uint64_t> calls_ = 0;
  std::map<std::string, Image> images_;
};

}  // namespace edge::store
