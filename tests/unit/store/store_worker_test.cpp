// The worker thread: order, answers on the io thread, group commit, nothing lost at the end.
#include "store/io/store_worker.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <future>
#include <thread>

#include "fault_vfs.hpp"
#include "temp_folder.hpp"

namespace edge::store {
namespace {

class StoreWorkerTest : public testing::Test {
 protected:
  Store memory() { return Store::open(":memory:", kNow).value(); }
  boost::asio::io_context io;
};

TEST_F(StoreWorkerTest, AnswersComeInOrderOnTheIoThread) {
  StoreWorker worker(io, memory());
  std::vector<std::int64_t> numbers;
  for (int n = 0; n < 500; ++n) {
    worker.run([](Store& store) { return store.add_event(kNow, "k", "{}"); },
               [&, here = std::this_thread::get_id()](Result<std::int64_t> number) {
                 EXPECT_EQ(std::this_thread::get_id(), here);
                 numbers.push_back(number.value());
               });
  }
  io.run();  // Ends by itself: the jobs hold the io_context until they are answered.
  ASSERT_EQ(numbers.size(), 500U);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(numbers[i], static_cast<std::int64_t>(i + 1));
  }
  EXPECT_EQ(worker.pending(), 0U);
}

boost::asio::awaitable<void> add_two(StoreWorker& worker, std::vector<std::int64_t>& out) {
  const auto first =
      co_await worker.call([](Store& store) { return store.add_event(kNow, "a", "{}"); });
  out.push_back(first.value());
  const auto second =
      co_await worker.call([](Store& store) { return store.add_event(kNow, "b", "{}"); });
  out.push_back(second.value());
}

TEST_F(StoreWorkerTest, WorksAsACoroutine) {
  StoreWorker worker(io, memory());
  std::vector<std::int64_t> numbers;
  boost::asio::co_spawn(io, add_two(worker, numbers), boost::asio::detached);
  io.run();
  EXPECT_EQ(numbers, (std::vector<std::int64_t>{1, 2}));
}

TEST_F(StoreWorkerTest, AnErrorIsAnsweredToItsCallerOnly) {
  StoreWorker worker(io, memory());
  std::vector<bool> good;
  const auto done = [&](Result<void> result) { good.push_back(result.has_value()); };
  worker.run([](Store& store) { return store.put_setting("a", "1"); }, done);
  worker.run([](Store& store) { return store.start("nobody", "boot", "", kNow); }, done);
  worker.run([](Store& store) { return store.put_setting("b", "1"); }, done);
  io.run();
  EXPECT_EQ(good, (std::vector<bool>{true, false, true}));
}

/// Holds the worker in its first job until released, so that what follows is one group.
struct Gate {
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
};

TEST_F(StoreWorkerTest, JobsThatWaitTogetherShareOneCommit) {
  FaultVfs vfs;
  TempFolder folder;
  auto store = Store::open(folder.file("s.db"), kNow,
                           {.limits = {.reserve_bytes = 0}, .vfs = FaultVfs::kName});
  Gate gate;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  {
    StoreWorker worker(io, std::move(*store));
    worker.run(
        [&](Store&) -> Result<void> {
          gate.opened.wait();
          before = vfs.calls();
          return {};
        },
        [](Result<void>) {});
    for (int n = 0; n < 100; ++n) {
      worker.run([](Store& s) { return s.add_event(kNow, "k", "{}"); },
                 [](Result<std::int64_t> number) { EXPECT_TRUE(number); });
    }
    gate.open.set_value();
    io.run();
    worker.run(
        [&](Store&) -> Result<void> {
          after = vfs.calls();
          return {};
        },
        [](Result<void>) {});
    io.restart();
    io.run();
  }
  // One commit writes each touched page once; a hundred of them would be some 300 calls.
  EXPECT_LT(after - before, 30U);
}

TEST_F(StoreWorkerTest, AGroupThatTheDiskFailsIsTriedOneByOne) {
  FaultVfs vfs;
  TempFolder folder;
  auto store = Store::open(folder.file("s.db"), kNow,
                           {.limits = {.reserve_bytes = 0}, .vfs = FaultVfs::kName});
  Gate gate;
  int good = 0;
  {
    StoreWorker worker(io, std::move(*store));
    worker.run(
        [&](Store&) -> Result<void> {
          gate.opened.wait();
          return {};
        },
        [](Result<void>) {});
    worker.run(
        [&](Store& s) -> Result<std::int64_t> {
          if (!vfs.fired()) { vfs.arm(1, FaultVfs::Fault::io_error, FaultVfs::Lasting::once); }
          return s.add_event(kNow, "k", "{}");
        },
        [&](Result<std::int64_t> number) { good += number ? 1 : 0; });
    for (int n = 0; n < 9; ++n) {
      worker.run([](Store& s) { return s.add_event(kNow, "k", "{}"); },
                 [&](Result<std::int64_t> number) { good += number ? 1 : 0; });
    }
    gate.open.set_value();
    io.run();
    EXPECT_TRUE(vfs.fired());
  }
  EXPECT_EQ(good, 10);
  EXPECT_EQ(Store::open(folder.file("s.db"), kNow)->events_after(0, 100)->size(), 10U);
}

/// A database in which nothing can begin while somebody else holds it.
struct Held {
  std::atomic<bool>* held;
  std::atomic<int>* asked;

  template <class Body>
  auto together(Body&& body) -> std::invoke_result_t<Body&> {
    ++*asked;
    if (*held) { return fail(Errc::transient, "database is locked"); }
    return body();
  }
};

TEST_F(StoreWorkerTest, AGroupThatCannotBeginFailsAsAWholeAndAtOnce) {
  std::atomic<bool> held = false;
  std::atomic<int> asked = 0;
  Gate gate;
  Gate begun;
  int failed = 0;
  Worker<Held> worker(io, Held{&held, &asked});
  worker.run(
      [&](Held&) -> Result<void> {
        begun.open.set_value();
        gate.opened.wait();
        held = true;
        return {};
      },
      [](const Result<void>& done) { EXPECT_TRUE(done); });
  begun.opened.wait();
  for (int n = 0; n < 9; ++n) {
    worker.run([](Held&) -> Result<void> { return {}; },
               [&](const Result<void>& done) { failed += done ? 0 : 1; });
  }
  gate.open.set_value();
  io.run();
  EXPECT_EQ(failed, 9);
  EXPECT_EQ(asked.load(), 2) << "each of them would wait as long for the same lock";
}

TEST_F(StoreWorkerTest, DestructionFinishesWhatIsQueuedAndAnswersNobody) {
  TempFolder folder;
  int answered = 0;
  {
    StoreWorker worker(io, Store::open(folder.file("s.db"), kNow).value());
    for (int n = 0; n < 50; ++n) {
      worker.run([](Store& s) { return s.add_event(kNow, "k", "{}"); },
                 [&](Result<std::int64_t>) { ++answered; });
    }
  }
  io.run();
  EXPECT_EQ(answered, 0);
  EXPECT_EQ(Store::open(folder.file("s.db"), kNow)->events_after(0, 100)->size(), 50U);
}

}  // namespace
}  // namespace edge::store
