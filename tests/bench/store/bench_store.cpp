// Commands stored per second, against bare SQLite commits of the same rows in the same run. JSON
// lines.
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "store/io/sha256.hpp"
#include "store/io/store.hpp"
#include "store/io/store_worker.hpp"
#include "tests/bench/figure_line.hpp"

namespace edge::store {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};
constexpr int kRuns = 5;
constexpr int kCommits = 1500;
constexpr int kInFlight = 64;
constexpr int kGrouped = 20'000;

std::string id_of(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }
IncomingCommand command(int n) {
  const std::string payload =
      fmt::format(R"({{"type":"command","id":"{}","operations":[{{"op":"gateway.publish",)"
                  R"("rule":"web-{}","interface":"web","protocol":"tcp","port":{}}}]}})",
                  id_of(n), n, n % 60000);
  return {.id = id_of(n), .payload = payload, .sha256 = sha256(payload), .command_class = "model"};
}

template <class Body>
double per_second(int count, Body&& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return count / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The reference: one prepared INSERT per WAL FULL commit, nothing of ours.
double bare_commits(const std::string& path) {
  sqlite3* db = nullptr;
  sqlite3_open(path.c_str(), &db);
  sqlite3_exec(db,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
               "CREATE TABLE t(id TEXT PRIMARY KEY, payload BLOB, sha256 BLOB) WITHOUT ROWID",
               nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db, "INSERT INTO t VALUES(?1,?2,?3)", -1, &insert, nullptr);
  std::vector<IncomingCommand> rows;
  for (int n = 0; n < kCommits; ++n) { rows.push_back(command(n)); }
  const double rate = per_second(kCommits, [&] {
    for (const IncomingCommand& row : rows) {
      sqlite3_bind_text(insert, 1, row.id.data(), static_cast<int>(row.id.size()), SQLITE_STATIC);
      sqlite3_bind_blob(insert, 2, row.payload.data(), static_cast<int>(row.payload.size()),
                        SQLITE_STATIC);
      sqlite3_bind_blob(insert, 3, row.sha256.data(), static_cast<int>(row.sha256.size()),
                        SQLITE_STATIC);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
  });
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return rate;
}

double one_by_one(const std::string& path) {
  Store store = Store::open(path, kNow).value();
  std::vector<IncomingCommand> commands;
  for (int n = 0; n < kCommits; ++n) { commands.push_back(command(n)); }
  return per_second(kCommits, [&] {
    for (const IncomingCommand& one : commands) {
      static_cast<void>(store.receive(one, kNow).value());
    }
  });
}

/// kInFlight commands wait at any time, as when a Console pushes a fleet change.
double through_the_worker(const std::string& path) {
  boost::asio::io_context io;
  StoreWorker worker(io, Store::open(path, kNow).value());
  int sent = 0;
  std::function<void()> send = [&] {
    worker.run([one = command(sent++)](Store& store) { return store.receive(one, kNow); },
               [&](Result<ReceiveOutcome> outcome) {
                 static_cast<void>(outcome.value());
                 if (sent < kGrouped) { send(); }
               });
  };
  return per_second(kGrouped, [&] {
    for (int n = 0; n < kInFlight; ++n) { send(); }
    io.run();
  });
}

/// Receive, start, finish with a result, ack: the whole life of one command, four commits.
double whole_life(const std::string& path) {
  Store store = Store::open(path, kNow).value();
  constexpr int lives = kCommits / 4;
  return per_second(lives, [&] {
    for (int n = 0; n < lives; ++n) {
      const auto one = command(n);
      static_cast<void>(store.receive(one, kNow).value());
      store.start(one.id, "boot", "", kNow).value();
      store
          .finish(one.id, CommandState::done, R"({"type":"result","state":"done"})", std::nullopt,
                  kNow)
          .value();
      store.ack_result(one.id).value();
    }
  });
}

struct Figure {
  const char* name;
  std::vector<double> values;
  double target_ratio;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace
}  // namespace edge::store

int main() {
  using namespace edge::store;
  std::string pattern = (std::filesystem::current_path() / "bench-store-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    std::perror("mkdtemp");
    return 1;
  }
  std::vector<double> reference;
  Figure figures[]{{"store.receive", {}, 0.8},
                   {"store.receive_grouped", {}, 4.0},
                   {"store.command_life", {}, 0.2}};
  for (int run = 0; run < kRuns; ++run) {  // Interleaved: a busy disk meets them all.
    const auto file = [&](const char* what) {
      return fmt::format("{}/{}-{}.db", pattern, what, run);
    };
    reference.push_back(bare_commits(file("bare")));
    figures[0].values.push_back(one_by_one(file("one")));
    figures[1].values.push_back(through_the_worker(file("worker")));
    figures[2].values.push_back(whole_life(file("life")));
  }
  std::filesystem::remove_all(pattern);
  const double bare = median(reference);
  for (const Figure& figure : figures) {
    edge::print_line({.figure = figure.name,
                      .unit = "commands/s",
                      .value = median(figure.values),
                      .worst = std::ranges::min(figure.values),
                      .runs = kRuns,
                      .reference_name = "sqlite-wal-full-commit",
                      .reference = bare,
                      .target_ratio = figure.target_ratio,
                      .better = edge::Better::more,
                      .decimals = 0});
  }
  return 0;
}
