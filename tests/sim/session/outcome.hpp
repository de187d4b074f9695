// What one world, or many, came to: numbers only, so that processes can share them.
#pragma once

#include <cstdint>

#include "tests/sim/common/tally.hpp"

namespace edge::sim {

/// Of one seed, and summed up of many.
struct Outcome {
  std::uint64_t worlds = 0;
  std::uint64_t failed = 0;
  std::uint64_t faults = 0;  ///< That had something to strike.
  std::uint64_t commands = 0;
  std::uint64_t events = 0;
  std::uint64_t sessions = 0;
  std::uint64_t steps = 0;
  std::uint64_t simulated_s = 0;
  // The invariants, by what each was checked against.
  Tally messages;      ///< Delivered: the next one of its channel, once.
  Tally repeated;      ///< Frames that came once more: each dropped.
  Tally stream_bytes;  ///< Each the one that was written there.
  Tally executions;    ///< Of commands: once, in order.
  Tally ends;          ///< Worlds in which all had arrived in the end; ms after the last fault.
  Tally windows;       ///< Queues, windows, reorder buffers; worst: bytes in one session.
  Tally write_queues;  ///< Of paths; bytes.
  Tally heap;          ///< Of a world, both ends and all that is under way; bytes.
  Tally agreement;     ///< The two ends' active path; ms of disagreement.
  Tally gaps;          ///< Answers to commands; ms beyond the round trip.
  Tally switches;      ///< Of the active path: each with its cause, or after its hold.
  Tally deaths;        ///< Of paths: each after something that struck them.

  void add(const Outcome& other) {
    worlds += other.worlds;
    failed += other.failed;
    faults += other.faults;
    commands += other.commands;
    events += other.events;
    sessions += other.sessions;
    steps += other.steps;
    simulated_s += other.simulated_s;
    messages.add(other.messages);
    repeated.add(other.repeated);
    stream_bytes.add(other.stream_bytes);
    executions.add(other.executions);
    ends.add(other.ends);
    windows.add(other.windows);
    write_queues.add(other.write_queues);
    heap.add(other.heap);
    agreement.add(other.agreement);
    gaps.add(other.gaps);
    switches.add(other.switches);
    deaths.add(other.deaths);
  }
};

}  // namespace edge::sim
