// kill -9 at random points of a run of commands: each has zero or one effect, and result and effect
// agree.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/random.hpp"
#include "base/unique_fd.hpp"
#include "store/io/sha256.hpp"
#include "store/io/store.hpp"
#include "temp_folder.hpp"

namespace edge::store {
namespace {

std::string id_of(std::int64_t n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }

/// What the daemon does: takes up what it finds, then new commands; the effect of a command is
/// revision + 1. Writes one byte to `progress` after every commit. Never returns.
[[noreturn]] void child(const std::string& path, int progress) {
  auto store = Store::open(path, kNow);
  const auto tick = [&](const auto& result) {
    if (!result || ::write(progress, "x", 1) != 1) { ::_exit(3); }
  };
  if (!store) { ::_exit(2); }
  std::int64_t next = 1;
  if (const auto newest = store->recent_commands(1); newest && !newest->empty()) {
    next = std::stoll(newest->front().id.substr(24)) + 1;
  }
  while (true) {
    const auto unfinished = store->unfinished().value();
    for (const CommandRecord& found : unfinished) {
      if (found.state == CommandState::stored) { tick(store->start(found.id, "boot", "", kNow)); }
      const auto newest = store->newest_revision().value();
      const Revision revision{.number = newest ? newest->number + 1 : 1,
                              .model = found.id,
                              .cause = found.id,
                              .time = kNow};
      tick(store->finish(found.id, CommandState::done, "{}", revision, kNow));
      tick(store->ack_result(found.id));
    }
    const std::string payload(1 + static_cast<std::size_t>(next % 5000), 'p');
    tick(store->receive({.id = id_of(next),
                         .payload = payload,
                         .sha256 = sha256(payload),
                         .command_class = "model"},
                        kNow));
    ++next;
  }
}

TEST(StoreKill, AnyMomentLeavesEachCommandWithZeroOrOneEffect) {
  const std::uint64_t seed = 7;
  Random random(seed);
  TempFolder folder;
  const std::string path = folder.file("s.db");
  std::int64_t last_done = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    int pipe_fds[2];
    ASSERT_EQ(::pipe(pipe_fds), 0);
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      ::close(pipe_fds[0]);
      child(path, pipe_fds[1]);
    }
    ::close(pipe_fds[1]);
    const UniqueFd progress(pipe_fds[0]);
    const auto ticks = random.below(30);
    char byte = 0;
    for (std::uint64_t n = 0; n < ticks; ++n) {
      ASSERT_EQ(::read(progress.get(), &byte, 1), 1) << "the child failed";
    }
    for (volatile std::uint64_t spin = random.below(200'000); spin > 0;) { spin = spin - 1; }
    ::kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;

    Store store = Store::open(path, kNow).value();
    ASSERT_FALSE(store.opened().corrupt_file);
    std::int64_t done = 0;
    const auto all = store.recent_commands(100'000).value();
    for (const CommandRecord& found : all) { done += found.state == CommandState::done ? 1 : 0; }
    const auto newest = store.newest_revision().value();
    EXPECT_EQ(newest ? newest->number : 0, done)
        << "one revision per done command, no more and no fewer";
    EXPECT_LE(store.unfinished()->size(), 1U);
    EXPECT_GE(done, last_done);
    last_done = done;
  }
  EXPECT_GT(last_done, 40);
}

}  // namespace
}  // namespace edge::store
