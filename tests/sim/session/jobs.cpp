// Many worlds in several processes at once.
#include "tests/sim/session/jobs.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>

#include "base/assert.hpp"
#include "tests/sim/session/world.hpp"

namespace edge::sim {
namespace {

constexpr unsigned jobs_max = 64;

/// Seen by all processes.
struct Board {
  struct Place {
    Outcome outcome;
    std::uint64_t seed = 0;  ///< At work; 0: not begun, or done.
  };
  std::atomic<std::uint64_t> next = 0;
  std::array<Place, jobs_max> places;
};

Board& make_board() {
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EDGE_ASSERT(memory != MAP_FAILED);
  return *new (memory) Board;
}

void say_again(std::uint64_t seed, const Batch& batch) {
  fmt::print("  again: sim_session --seed {} --faults {} --trace\n", seed, batch.faults_mean);
  std::fflush(stdout);
}

void work(const Batch& batch, Board& board, unsigned place) {
  for (;;) {
    const std::uint64_t seed = batch.first + board.next++;
    if (seed >= batch.first + batch.seeds) { break; }
    board.places[place].seed = seed;
    World world({.seed = seed, .faults_mean = batch.faults_mean, .trace = batch.trace});
    board.places[place].outcome.add(world.run());
    for (const std::string& problem : world.problems()) {
      fmt::print("seed {}: {}\n", seed, problem);
    }
    if (!world.problems().empty()) { say_again(seed, batch); }
  }
  board.places[place].seed = 0;
}

pid_t begin_work(const Batch& batch, Board& board, unsigned place) {
  const pid_t child = fork();
  EDGE_ASSERT(child >= 0);
  if (child == 0) {
    work(batch, board, place);
    std::exit(0);  // Leaks are looked for at the exit.
  }
  return child;
}

}  // namespace

Outcome run_batch(const Batch& batch) {
  Board& board = make_board();
  std::fflush(stdout);
  std::map<pid_t, unsigned> at_work;
  const unsigned jobs = std::min(batch.jobs, jobs_max);
  if (jobs <= 1) { work(batch, board, 0); }
  for (unsigned place = 0; jobs > 1 && place < jobs; ++place) {
    at_work.emplace(begin_work(batch, board, place), place);
  }
  while (!at_work.empty()) {
    int status = 0;
    const auto ended = at_work.find(wait(&status));
    if (ended == at_work.end()) { continue; }
    const unsigned place = ended->second;
    at_work.erase(ended);
    if (status == 0) { continue; }
    Board::Place& left = board.places[place];
    fmt::print("seed {}: the process ended with status {:#x}\n", left.seed, status);
    say_again(left.seed, batch);
    ++left.outcome.worlds;
    ++left.outcome.failed;
    if (left.seed != 0) { at_work.emplace(begin_work(batch, board, place), place); }
  }
  Outcome total;
  for (const Board::Place& place : board.places) { total.add(place.outcome); }
  munmap(&board, sizeof(Board));
  return total;
}

}  // namespace edge::sim
