// A whole Console in the test's process on loopback, and a host that speaks the protocol to it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "console/api.hpp"
#include "console/clock.hpp"
#include "tests/unit/store/temp_folder.hpp"
#include "tests/unit/tunnel_io/test_pki.hpp"
#include "tunnel/core/session.hpp"
#include "tunnel/core/stream_frame.hpp"
#include "tunnel/io/dialer.hpp"
#include "tunnel/io/listener.hpp"

namespace edge::console {

namespace json = boost::json;
using namespace std::chrono_literals;
using tunnel::testing_support::pki_now;
using tunnel::testing_support::TestCa;

inline constexpr std::string_view kToken = "test-token-123";

inline std::shared_ptr<const tunnel::TlsContext> tls_of(
    tunnel::TlsRole role, const TestCa& ca, const tunnel::testing_support::PemPair& pair) {
  return tunnel::TlsContext::create(
             role,
             {.ca_pem = ca.pem(),
              .certificate_pem = pair.certificate,
              .key_pem = pair.key,
              .names = {.ca = "ca.pem", .certificate = "own.pem", .key = "own.key"}},
             {.server_name = "console.test",
              .wall_clock = [] { return pki_now; },
              .clock_floor = {}})
      .value();
}

/// A host with a journal in memory: it executes each command once, whatever is sent to it.
class FakeHost {
 public:
  /// `seed` draws its instance: a daemon that was restarted has another one.
  FakeHost(boost::asio::io_context& io, const TestCa& ca, std::string id,
           std::string install_id = "install-1", std::uint64_t seed = 4711)
      : io_(io),
        id_(std::move(id)),
        tls_(tls_of(tunnel::TlsRole::client, ca, ca.host(id_))),
        session_(options(id_, std::move(install_id)), Random(seed)),
        timer_(io) {}

  void connect(std::uint16_t port, const std::string& adapter) {
    const PathId id{next_++};
    Path& path = paths_[id];
    path.facts.wire_id = id.value;
    path.facts.port = adapter;
    path.facts.adapter = adapter;
    path.facts.endpoint = "console.test:1";
    path.facts.label = adapter + "/console.test:1";
    tunnel::DialRequest request;
    request.endpoint = {"127.0.0.1", port};
    path.dial = std::make_unique<tunnel::Dial>(
        io_.get_executor(), tls_, std::move(request),
        [this, id](tunnel::DialResult result) { on_dialled(id, std::move(result)); });
  }
  /// From the next connection on.
  void show(const TestCa& ca, const tunnel::testing_support::PemPair& pair) {
    tls_ = tls_of(tunnel::TlsRole::client, ca, pair);
  }
  /// The cable is pulled: no goodbye.
  void pull(const std::string& adapter) {
    for (auto& [id, path] : paths_) {
      if (path.facts.adapter == adapter && path.stream) { path.stream->abort(); }
    }
    session_.on_carrier_lost(adapter, mono_now());
    pump();
  }
  void say(tunnel::Channel channel, const json::object& message) {
    const auto sent =
        session_.send(channel, tunnel::to_bytes(json::serialize(message)), mono_now());
    EXPECT_TRUE(sent) << sent.error().what;
    pump();
  }
  void say_stream(const tunnel::StreamFrame& frame) {
    EXPECT_TRUE(session_.send(tunnel::Channel::streams, tunnel::encode(frame), mono_now()));
    pump();
  }
  void event(std::int64_t n) {
    say(tunnel::Channel::events, {{"type", "event"},
                                  {"n", n},
                                  {"time", "2026-01-02T03:04:05.678Z"},
                                  {"kind", "path.switch"},
                                  {"data", json::object{{"number", n}}}});
  }
  void answer(const std::string& id) {
    say(tunnel::Channel::commands, {{"type", "result"},
                                    {"id", id},
                                    {"state", "done"},
                                    {"problems", json::array{}},
                                    {"revision", executed_.at(id)},
                                    {"plan", json::array{"ip link add x"}}});
  }

  bool mute = false;                    ///< Executes, but does not answer.
  std::map<std::string, int> received;  ///< How often each command came.
  std::vector<tunnel::Bytes> stream_frames;
  std::set<std::string> result_acks;
  std::map<std::string, int> confirms;  ///< How often each was said.
  std::map<std::string, int> aborts;
  std::vector<std::int64_t> known_revisions;  ///< What the Console says it has seen.
  bool deaf = false;                          ///< To questions.
  std::int64_t event_acked = 0;
  int sessions_started = 0;
  int closed = 0;
  std::string last_close;
  std::string hello_as;                  ///< Set: lies about its id.
  std::vector<json::object> offers;      ///< Of a Console that signs.
  std::vector<json::object> identities;  ///< Its answers to requests.

  std::size_t unread(tunnel::Channel channel) const { return session_.queued_bytes(channel); }
  std::size_t executed() const { return executed_.size(); }
  std::size_t attached() const { return session_.paths(mono_now()).size(); }
  tunnel::SessionId session_id() const { return session_.id(); }

 private:
  struct Path {
    tunnel::PathFacts facts;
    std::unique_ptr<tunnel::Dial> dial;
    std::unique_ptr<tunnel::TlsStream> stream;
    tunnel::FrameDecoder decoder;
    bool attached = false;
  };
  static tunnel::SessionOptions options(const std::string& id, std::string install_id) {
    tunnel::SessionOptions out;
    out.role = tunnel::Role::host;
    out.host = id;
    out.install_id = std::move(install_id);
    out.boot_id = "boot";
    out.software = "fake 1";
    return out;
  }

  void on_dialled(PathId id, tunnel::DialResult result) {
    ASSERT_TRUE(result) << result.error().error.text;
    Path& path = paths_.at(id);
    path.stream = std::move(result->stream);
    path.stream->start(
        {.on_bytes = [this, id](std::span<const std::byte> bytes) { on_bytes(id, bytes); },
         .on_closed =
             [this, id](const tunnel::PathError& error) {
               ++closed;
               last_close = error.text;
               session_.on_path_lost(id, tunnel::PathCause::eof, error.text, mono_now());
               pump();
             },
         .on_drained = {}});
    auto hello = session_.hello(path.facts, pki_now);
    if (!hello_as.empty()) { hello.host = hello_as; }
    EXPECT_TRUE(path.stream->send(std::make_shared<const tunnel::Bytes>(tunnel::encode(hello))));
  }
  void on_bytes(PathId id, std::span<const std::byte> bytes) {
    std::vector<tunnel::Frame> frames;
    Path& path = paths_.at(id);
    ASSERT_TRUE(path.decoder.feed(bytes, frames));
    for (auto& frame : frames) {
      if (path.attached) {
        session_.on_frame(id, std::move(frame), mono_now());
      } else if (frame.header.type == tunnel::FrameType::welcome) {
        path.attached = true;
        const auto welcome = tunnel::decode_welcome(frame.payload);
        ASSERT_TRUE(welcome);
        ASSERT_TRUE(session_.attach(id, path.facts, *welcome, mono_now()));
      } else if (frame.header.type == tunnel::FrameType::error) {
        refusal = tunnel::decode_error(frame.payload)->what;
      }
    }
    pump();
  }
  void pump() {
    if (pumping_) { return; }
    pumping_ = true;
    for (auto actions = session_.take_actions(); !actions.empty();
         actions = session_.take_actions()) {
      for (auto& action : actions) { run(action); }
    }
    pumping_ = false;
    if (const auto due = session_.next_deadline()) {
      timer_.expires_at(to_steady(*due));
      timer_.async_wait([this](boost::system::error_code ec) {
        if (ec) { return; }
        session_.on_deadline(mono_now());
        pump();
      });
    }
  }
  void run(tunnel::Action& action) {
    if (const auto* send = std::get_if<tunnel::SendBytes>(&action)) {
      const auto& stream = paths_.at(send->path).stream;
      if (stream && stream->is_open()) { static_cast<void>(stream->send(send->bytes)); }
    } else if (const auto* deliver = std::get_if<tunnel::Deliver>(&action)) {
      if (deliver->channel == tunnel::Channel::streams) {
        stream_frames.push_back(deliver->payload);
        return;
      }
      on_message(json::parse(tunnel::as_text(deliver->payload)).as_object());
    } else if (std::holds_alternative<tunnel::SessionStarted>(action)) {
      ++sessions_started;
      if (sessions_started > 1 && !mute) {
        for (const auto& [id, revision] : executed_) {
          if (!result_acks.contains(id)) { again_.push_back(id); }
        }
        boost::asio::post(io_, [this] {
          for (const auto& id : std::exchange(again_, {})) { answer(id); }
        });
      }
    }
  }
  void on_message(const json::object& message) {
    const auto type = message.at("type").as_string();
    if (type == "event_ack") {
      event_acked = message.at("n").as_int64();
      return;
    }
    if (type == "known") {
      known_revisions.push_back(message.at("revision").as_int64());
      return;
    }
    if (type == "signer") {
      offers.push_back(message);
      return;
    }
    if (type == "identity") {
      identities.push_back(message);
      return;
    }
    const std::string id(message.at("id").as_string());
    if (type == "result_ack") {
      result_acks.insert(id);
    } else if (type == "confirm") {
      ++confirms[id];
    } else if (type == "abort") {
      ++aborts[id];
    } else if (type == "history" && !deaf) {
      boost::asio::post(io_, [this, id, wants = message.contains("revision")] {
        json::object answer{{"type", "history"}, {"id", id}};
        const json::object row{{"revision", 7}, {"cause", "x"}, {"model", json::object{}}};
        if (wants) {
          answer["revision"] = row;
        } else {
          answer["revisions"] = json::array{row};
        }
        say(tunnel::Channel::commands, answer);
      });
    } else if (type == "command") {
      ++received[id];
      if (!executed_.contains(id)) { executed_[id] = static_cast<int>(executed_.size()) + 1; }
      if (mute) { return; }
      boost::asio::post(io_, [this, id] {
        say(tunnel::Channel::commands, {{"type", "stored"}, {"id", id}});
        answer(id);
      });
    }
  }

  boost::asio::io_context& io_;
  std::string id_;
  std::shared_ptr<const tunnel::TlsContext> tls_;
  tunnel::Session session_;
  boost::asio::steady_timer timer_;
  std::uint32_t next_ = 1;
  std::map<PathId, Path> paths_;
  std::map<std::string, int> executed_;
  std::vector<std::string> again_;
  bool pumping_ = false;

 public:
  std::string refusal;
};

/// What main.cpp makes, without the process. Destroyed and made again: a restart of the Console.
class TestConsole {
 public:
  TestConsole(boost::asio::io_context& io, const TestCa& ca, const std::string& database,
              std::uint16_t port, const HostOptions& options = {})
      : io_(io),
        start_(ConsoleDb::open(database).value()),
        db_(io, std::move(start_.db)),
        feed_(io),
        fleet_(io, db_, feed_, options, next_seed(), std::move(start_.hosts),
               std::move(start_.unfinished)),
        forwards_(io, fleet_),
        api(io, db_, feed_, fleet_, forwards_, std::string(kToken)) {
    feed_.set_last_seq(start_.last_seq);
    forwards_.restore(std::move(start_.forwards));
    tunnel::ListenerCallbacks callbacks;
    callbacks.on_stream = [this](std::unique_ptr<tunnel::TlsStream> stream) {
      fleet_.admit(std::move(stream));
    };
    tunnel::ListenerOptions door;
    door.address = IpAddress::v4(127, 0, 0, 1);
    door.port = port;
    listener_ =
        tunnel::Listener::open(io.get_executor(),
                               tls_of(tunnel::TlsRole::server, ca, ca.console("DNS:console.test")),
                               door, std::move(callbacks))
            .value();
  }
  std::uint16_t port() const { return listener_->port(); }
  /// A restarted Console must not draw the session ids of its former life, as main.cpp's seed does
  /// not.
  static std::uint64_t next_seed() {
    static std::uint64_t seed = 98;
    return ++seed;
  }
  Host* host(std::string_view id) { return fleet_.find(id); }
  DbWorker& db() { return db_; }
  Fleet& fleet() { return fleet_; }

 private:
  struct Start {
    explicit Start(ConsoleDb opened) : db(std::move(opened)) {
      hosts = db.hosts().value();
      unfinished = db.unfinished().value();
      forwards = db.forwards().value();
      last_seq = db.last_seq().value();
    }
    ConsoleDb db;
    std::vector<HostRow> hosts;
    std::vector<CommandRow> unfinished;
    std::vector<ForwardRow> forwards;
    std::int64_t last_seq = 0;
  };
  boost::asio::io_context& io_;
  Start start_;
  DbWorker db_;
  Feed feed_;
  Fleet fleet_;
  Forwards forwards_;
  std::unique_ptr<tunnel::Listener> listener_;

 public:
  Api api;
};

class ConsoleTest : public testing::Test {
 protected:
  bool run_until(const std::function<bool()>& ready, Duration limit = 20s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!ready()) {
      if (std::chrono::steady_clock::now() >= end) { return false; }
      io.restart();
      io.run_one_for(20ms);
    }
    return true;
  }
  void start(std::uint16_t port = 0, const HostOptions& options = {}) {
    console = std::make_unique<TestConsole>(io, ca, folder.file("console.db"), port, options);
  }
  /// As `kill -9` would, but for what is queued for the disk.
  void stop() {
    console.reset();
    io.restart();
    io.poll();
  }
  HttpResponse call(std::string method, std::string target, std::string body = {}) {
    HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.authorization = "Bearer " + std::string(kToken);
    request.body = std::move(body);
    std::optional<HttpResponse> out;
    boost::asio::co_spawn(
        io, console->api.answer(std::move(request)),
        [&](std::exception_ptr, HttpResponse response) { out = std::move(response); });
    EXPECT_TRUE(run_until([&] { return out.has_value(); }));
    return out.value_or(HttpResponse{});
  }
  json::object get(const std::string& target) {
    return json::parse(call("GET", target).body).as_object();
  }
  json::object post(const std::string& target, const json::object& body) {
    return json::parse(call("POST", target, json::serialize(body)).body).as_object();
  }
  bool online(const std::string& id = "hv-01") {
    return console->host(id) != nullptr && console->host(id)->online();
  }

  /// Both ends agree that this many paths are up: the host may speak.
  bool joined(const FakeHost& host, std::size_t paths = 1) {
    return run_until([&] {
      return online() && host.attached() == paths && console->host("hv-01")->path_count() == paths;
    });
  }

  boost::asio::io_context io;
  TestCa ca{"test ca"};
  store::TempFolder folder;
  std::unique_ptr<TestConsole> console;
};

}  // namespace edge::console
