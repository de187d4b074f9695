// uplink-console: ends the tunnels of hosts, keeps their commands and events, serves the HTTP API.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <openssl/rand.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/io/log_line.hpp"
#include "base/throttle.hpp"
#include "console/api.hpp"
#include "console/clock.hpp"
#include "console/config.hpp"
#include "console/handshake_shares.hpp"
#include "console/http_server.hpp"
#include "console/signer.hpp"
#include "tunnel/io/listener.hpp"

namespace edge::console {
namespace {

constexpr int kExitUsage = 2;
/// For the goodbyes on their way: they are short, but many.
constexpr std::chrono::milliseconds kGoodbye{300};
constexpr std::chrono::microseconds kGoodbyePerPath{250};
constexpr std::chrono::milliseconds kGoodbyeStep{20};
constexpr std::chrono::seconds kPrunePeriod = std::chrono::minutes(10);
constexpr std::chrono::seconds kPruneTurn{1};  ///< Between them the database has its other jobs.
/// Waiting for one connection's kernel: a command of 1 MiB and all of a session's other channels.
/// A host's paths together: HostOptions::unread_bytes_max.
constexpr std::size_t path_bytes_max = 2U << 20;

int complain(const std::string& what) {
  spdlog::error("{}", what);
  return 1;
}

std::optional<Config> read_config(const std::string& file) {
  std::ifstream in(file);
  if (!in) {
    fmt::print(stderr, "{}:1: cannot be read: {}\n", file, std::strerror(errno));
    return std::nullopt;
  }
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const auto folder = std::filesystem::absolute(file).parent_path().string();
  auto config = parse_config(text, file, folder);
  if (config) { return std::move(*config); }
  for (const std::string& problem : config.error()) { fmt::print(stderr, "{}\n", problem); }
  return std::nullopt;
}

void set_up_logging(const std::string& level) {
  auto logger = spdlog::stderr_logger_st("console");  // One thread logs.
  logger->set_formatter(edge::log_line());
  spdlog::set_default_logger(std::move(logger));
  spdlog::set_level(spdlog::level::from_str(level));
}

/// Each path is a descriptor: the usual soft limit of 1024 is 400 hosts. Root may go beyond the
/// hard limit; everybody else gets that.
void raise_descriptor_limit() {
  constexpr rlim_t wanted = 262'144;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) { return; }
  const rlimit more{.rlim_cur = std::max(limit.rlim_max, wanted),
                    .rlim_max = std::max(limit.rlim_max, wanted)};
  if (::setrlimit(RLIMIT_NOFILE, &more) == 0) { return; }
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) { ::getrlimit(RLIMIT_NOFILE, &limit); }
  if (limit.rlim_cur < wanted) {
    spdlog::warn("descriptors.limited at={}: enough for {} hosts with two paths", limit.rlim_cur,
                 limit.rlim_cur / 2);
  }
}

std::size_t resident_bytes() {
  std::size_t pages_all = 0;
  std::size_t pages_resident = 0;
  std::ifstream("/proc/self/statm") >> pages_all >> pages_resident;
  return pages_resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

Result<ConsoleDb> open_database(const std::string& folder) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec) {
    return fail(errc_of_errno(ec.value()), fmt::format("make {}: {}", folder, ec.message()));
  }
  EDGE_ASSIGN(ConsoleDb db, ConsoleDb::open(folder + "/console.db"));
  const store::OpenOutcome& found = db.opened();
  if (found.corrupt_file) {
    spdlog::error(
        "database.corrupt reason=\"{}\" moved_to={}: beginning with an empty one, in "
        "which no host is revoked",
        found.corrupt_reason, *found.corrupt_file);
  }
  if (found.migrated_from) {
    spdlog::info("database.migrated from={} to={} copy={}", *found.migrated_from, found.version,
                 found.backup.value_or(""));
  }
  return db;
}

/// Everything that runs; the order of members is the order of life.
class Program {
 public:
  Program(const Config& config, ConsoleDb db, std::vector<HostRow> hosts,
          std::vector<CommandRow> unfinished, std::vector<ForwardRow> forwards,
          std::int64_t last_seq, std::shared_ptr<const tunnel::IdentitySigner> signer)
      : config_(config),
        db_(io_, std::move(db)),
        feed_(io_),
        prune_timer_(io_),
        memory_timer_(io_),
        end_timer_(io_),
        signals_(io_, SIGINT, SIGTERM) {
    feed_.set_last_seq(last_seq);
    std::uint64_t seed = 0;
    RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
    HostOptions options;
    options.heartbeat = {.active = std::chrono::milliseconds(config.timers.heartbeat_ms),
                         .standby = std::chrono::milliseconds(config.timers.heartbeat_ms * 4),
                         .dead_after = config.timers.dead_after};
    options.detach_ttl = std::chrono::seconds(config.timers.detach_ttl_s);
    options.handshakes_per_s = config.limits.handshakes_per_s;
    options.heartbeats_per_s = config.limits.heartbeats_per_s;
    options.signer = std::move(signer);
    options.renewal_spread = std::chrono::seconds(config.signer.spread_s);
    options.memory_bytes_max = std::size_t{config.limits.memory_mib} << 20;
    options.queued_bytes_max = std::size_t{config.limits.queued_mib} << 20;
    fleet_ = std::make_unique<Fleet>(io_, db_, feed_, options, seed, std::move(hosts),
                                     std::move(unfinished));
    forwards_ = std::make_unique<Forwards>(io_, *fleet_);
    forwards_->restore(std::move(forwards));
    api_ = std::make_unique<Api>(io_, db_, feed_, *fleet_, *forwards_, config.http.token);
  }

  Result<void> open() {
    tunnel::TlsOptions tls_options;
    EDGE_ASSIGN(auto tls,
                tunnel::TlsContext::open(tunnel::TlsRole::server,
                                         {config_.tls.ca, config_.tls.certificate, config_.tls.key},
                                         tls_options));
    if (const auto invalid = tls->own_validity()) {
      spdlog::error("certificate.invalid reason=\"{}\"", invalid->text);
    }
    for (const HostPort& where : config_.listen.tunnel) { EDGE_TRY(open_door(where, tls)); }
    EDGE_ASSIGN(http_, HttpServer::listen(io_, config_.listen.http, *api_,
                                          {.connections_max = config_.http.connections_max}));
    spdlog::info("http.listening at={}", to_string(config_.listen.http));
    return {};
  }

  int run() {
    signals_.async_wait([this](boost::system::error_code ec, int signal) {
      if (!ec) { stop(signal); }
    });
    arm_prune(kPrunePeriod);
    watch_memory();
    io_.run();
    return 0;
  }

 private:
  Result<void> open_door(const HostPort& where,
                         const std::shared_ptr<const tunnel::TlsContext>& tls) {
    EDGE_ASSIGN(const IpAddress address, parse_ip(where.host));
    tunnel::ListenerOptions options;
    options.address = address;
    options.port = where.port;
    options.limits.handshakes_per_s = config_.limits.handshakes_per_s;
    options.limits = tunnel::share_of(options.limits, config_.listen.tunnel.size());
    options.stream.queue_bytes_max = path_bytes_max;
    tunnel::ListenerCallbacks callbacks;
    // Shared: std::function copies what it calls.
    callbacks.admit = [shares = std::make_shared<HandshakeShares>(options.limits.handshakes_per_s)](
                          const IpAddress& from) { return shares->admit(from, mono_now()); };
    callbacks.on_stream = [this](std::unique_ptr<tunnel::TlsStream> stream) {
      fleet_->admit(std::move(stream));
    };
    callbacks.on_refused = [this](const IpAddress& from, const tunnel::PathError& why) {
      fleet_->handshake_refused();
      const auto unsaid = refusals_.pass(mono_now());
      if (!unsaid) { return; }
      spdlog::info("handshake.refused address={} cause={} reason=\"{}\" unsaid_before={}",
                   to_string(from), to_string(why.cause), why.text, *unsaid);
    };
    EDGE_ASSIGN(auto door,
                tunnel::Listener::open(io_.get_executor(), tls, options, std::move(callbacks)));
    spdlog::info("tunnel.listening at={}", to_string(where));
    doors_.push_back(std::move(door));
    return {};
  }

  void watch_memory() {
    if (config_.limits.memory_mib != 0) { fleet_->set_memory(resident_bytes()); }
    fleet_->count_queued();
    memory_timer_.expires_after(std::chrono::seconds(1));
    memory_timer_.async_wait([this](boost::system::error_code ec) {
      if (!ec) { watch_memory(); }
    });
  }

  void arm_prune(std::chrono::seconds after) {
    prune_timer_.expires_after(after);
    prune_timer_.async_wait([this](boost::system::error_code ec) {
      if (ec) { return; }
      db_.run([](ConsoleDb& db) { return db.prune(); },
              [this](const Result<Pruned>& pruned) {
                if (!pruned) {
                  spdlog::warn("database.not_pruned reason=\"{}\"", pruned.error().what);
                }
                arm_prune(pruned && pruned->more ? kPruneTurn : kPrunePeriod);
              });
    });
  }

  void stop(int signal) {
    spdlog::info("console.stopping signal={}", signal);
    doors_.clear();
    forwards_->stop();
    http_->stop();
    feed_.end();
    fleet_->stop();
    prune_timer_.cancel();
    memory_timer_.cancel();
    wait_for_goodbyes(std::chrono::steady_clock::now() + kGoodbye +
                      kGoodbyePerPath * fleet_->connection_count());
  }

  void wait_for_goodbyes(std::chrono::steady_clock::time_point end) {
    if (fleet_->connection_count() == 0 || std::chrono::steady_clock::now() >= end) {
      return io_.stop();
    }
    end_timer_.expires_after(kGoodbyeStep);
    end_timer_.async_wait([this, end](boost::system::error_code) { wait_for_goodbyes(end); });
  }

  boost::asio::io_context io_{1};
  const Config& config_;
  DbWorker db_;
  Feed feed_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Forwards> forwards_;
  std::unique_ptr<Api> api_;
  std::vector<std::unique_ptr<tunnel::Listener>> doors_;
  std::unique_ptr<HttpServer> http_;
  boost::asio::steady_timer prune_timer_;
  boost::asio::steady_timer memory_timer_;
  boost::asio::steady_timer end_timer_;
  boost::asio::signal_set signals_;
  Throttle refusals_{20, std::chrono::seconds(1)};  ///< What anybody can cause fills no log.
};

int run(const Config& config) {
  auto signer = open_signer(config);
  if (!signer) { return complain(signer.error().what); }
  auto db = open_database(config.paths.state);
  if (!db) { return complain(db.error().what); }
  auto hosts = db->hosts();
  if (!hosts) { return complain(hosts.error().what); }
  auto unfinished = db->unfinished();
  if (!unfinished) { return complain(unfinished.error().what); }
  auto forwards = db->forwards();
  if (!forwards) { return complain(forwards.error().what); }
  const auto last_seq = db->last_seq();
  if (!last_seq) { return complain(last_seq.error().what); }
  spdlog::info("console.starting hosts={} unfinished_commands={} forwards={} events={}",
               hosts->size(), unfinished->size(), forwards->size(), *last_seq);
  Program program(config, std::move(*db), std::move(*hosts), std::move(*unfinished),
                  std::move(*forwards), *last_seq, std::move(*signer));
  if (const auto opened = program.open(); !opened) { return complain(opened.error().what); }
  return program.run();
}

}  // namespace
}  // namespace edge::console

int main(int argc, char** argv) {
  CLI::App app("The reference Console of Uplink.", "uplink-console");
  std::string file;
  bool check = false;
  app.add_option("--config", file, "console.toml")->required();
  app.add_flag("--check", check, "Only say whether the configuration is right");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : edge::console::kExitUsage;
  }
  const auto config = edge::console::read_config(file);
  if (!config) { return edge::console::kExitUsage; }
  if (check) { return 0; }
  ::umask(0077);
  std::signal(SIGPIPE, SIG_IGN);
  edge::console::set_up_logging(config->log.level);
  edge::console::raise_descriptor_limit();
  return edge::console::run(*config);
}
