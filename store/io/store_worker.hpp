// One thread that owns a store: an fsync may stall for 100s of ms, heartbeats must not.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/assert.hpp"
#include "store/io/store.hpp"

namespace edge::store {

/// Runs closures in order on one worker thread and posts what they return to the io_context. Jobs
/// that wait together share one commit (group commit): their answers are posted after it, so an
/// answer always means durable. `Db` has `together(body)` as Store has.
///
/// Time:    none.
/// Threads: the io_context's thread calls; `work` runs on the worker thread and must touch only the
/// Db
///          and what it owns; `done` runs on the io_context's thread.
template <class Db>
class Worker {
 public:
  static constexpr std::size_t group_jobs_max = 256;

  Worker(boost::asio::io_context& io, Db db)
      : io_(io), db_(std::move(db)), thread_([this] { loop(); }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  /// Finishes what is queued (nothing accepted is lost), then joins. No `done` is called any more.
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    *listening_ = false;
  }

  /// work: Db& -> Result<T>. done: Result<T> -> void. `work` may run again when a commit fails: it
  /// must not consume what it captured.
  template <class Work, class Done>
  void run(Work work, Done done) {
    using R = std::invoke_result_t<Work&, Db&>;
    push(std::make_unique<TypedJob<R, Work, Done>>(io_, listening_, std::move(work),
                                                   std::move(done)));
  }

  /// The same as a coroutine: `auto r = co_await worker.call([..](Store& s) { return s.start(..);
  /// });`
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work&, Db&>> call(Work work) {
    using R = std::invoke_result_t<Work&, Db&>;
    auto initiate = [this](auto handler, Work inner) {
      auto shared = std::make_shared<decltype(handler)>(std::move(handler));
      this->run(std::move(inner), [shared](R result) { std::move (*shared)(std::move(result)); });
    };
    co_return co_await boost::asio::async_initiate<decltype(boost::asio::use_awaitable), void(R)>(
        std::move(initiate), boost::asio::use_awaitable, std::move(work));
  }

  /// Jobs queued or running: a back-pressure measure.
  std::size_t pending() const {
    const std::lock_guard lock(mutex_);
    return pending_;
  }

 private:
  struct Job {
    virtual ~Job() = default;
    virtual void work(Db& db) = 0;
    virtual void fail(const Error& error) = 0;
    /// Posts to the io_context; consumes the job.
    virtual void post(std::unique_ptr<Job> self) = 0;
  };
  template <class R, class Work, class Done>
  struct TypedJob;

  void push(std::unique_ptr<Job> job) {
    {
      const std::lock_guard lock(mutex_);
      EDGE_ASSERT(!stopping_);
      queue_.push_back(std::move(job));
      ++pending_;
    }
    wake_.notify_one();
  }
  void loop();
  /// Runs a job again in a commit of its own.
  void alone(Job& job, const Error& group_error, std::size_t group_jobs);

  boost::asio::io_context& io_;
  /// Read and written on the io_context's thread only: whoever waits for an answer dies with us.
  std::shared_ptr<bool> listening_ = std::make_shared<bool>(true);
  Db db_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> queue_;
  std::size_t pending_ = 0;
  bool stopping_ = false;
  std::thread thread_;  ///< Last: starts when all above stands.
};

using StoreWorker = Worker<Store>;

template <class Db>
template <class R, class Work, class Done>
struct Worker<Db>::TypedJob final : Job {
  TypedJob(boost::asio::io_context& io, std::shared_ptr<const bool> listening_in, Work work_in,
           Done done_in)
      : guard(io.get_executor()),
        listening(std::move(listening_in)),
        body(std::move(work_in)),
        done(std::move(done_in)) {}
  void work(Db& db) override { result.emplace(body(db)); }
  void fail(const Error& error) override { result.emplace(std::unexpected(error)); }
  void post(std::unique_ptr<Job> self) override {
    std::shared_ptr<TypedJob> job(static_cast<TypedJob*>(self.release()));
    boost::asio::post(guard.get_executor(), [job] {
      if (*job->listening) { job->done(std::move(*job->result)); }
    });
  }
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard;
  std::shared_ptr<const bool> listening;
  Work body;
  Done done;
  std::optional<R> result;
};

template <class Db>
void Worker<Db>::alone(Job& job, const Error& group_error, std::size_t group_jobs) {
  if (group_jobs == 1) { return job.fail(group_error); }
  const Result<void> committed = db_.together([&]() -> Result<void> {
    job.work(db_);
    return {};
  });
  if (!committed) { job.fail(committed.error()); }
}

template <class Db>
void Worker<Db>::loop() {
  std::deque<std::unique_ptr<Job>> group;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) { return; }
      while (!queue_.empty() && group.size() < group_jobs_max) {
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    bool begun = false;
    const Result<void> committed = db_.together([&]() -> Result<void> {
      begun = true;
      for (auto& job : group) { job->work(db_); }
      return {};
    });
    // One job that the disk cannot take must not take the others with it: each on its own, then.
    // Where none could begin (another process holds the file), none is to blame: each would wait as
    // long once more.
    if (!committed) {
      for (auto& job : group) { alone(*job, committed.error(), begun ? group.size() : 1); }
    }
    {
      const std::lock_guard lock(mutex_);
      pending_ -= group.size();
    }
    for (auto& job : group) {
      Job& target = *job;
      target.post(std::move(job));
    }
    group.clear();
  }
}

}  // namespace edge::store
