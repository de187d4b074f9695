#include "uplink/daemon/daemon.hpp"

#include <pwd.h>

#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/hand_back.hpp"
#include "uplink/daemon/machine.hpp"
#include "uplink/daemon/originals.hpp"
#include "uplink/daemon/random.hpp"

namespace edge::uplink {

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

Result<void> make_folder(const std::string& path) {
  std::error_code ec;
  fs::create_directories(path, ec);
  if (ec) { return fail_errno(ec.value(), fmt::format("make folder {}", path)); }
  fs::permissions(
      path,
      fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_exec,
      ec);
  return {};
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::create(boost::asio::io_context& io, Config config) {
  // A state folder that cannot be made is a store that cannot be opened, which is no reason to end.
  if (const auto made = make_folder(config.paths.state); !made) {
    spdlog::error("state.unusable what=\"{}\"", made.error().what);
  }
  EDGE_TRY(make_folder(config.paths.runtime));
  auto opened = open_store(config);
  if (!opened) { return fail_in("store " + store_path(config), opened.error()); }

  KernelBox box;
  auto nft = netmodel::NftKernel::create();
  if (!nft) { return fail_in("open nftables", nft.error()); }
  auto conntrack = netmodel::ConntrackKernel::create();
  if (!conntrack) { return fail_in("open conntrack", conntrack.error()); }
  const netmodel::NftKernel& own_nft = **nft;
  box.nft = std::move(*nft);
  auto kernel = netmodel::RtnetlinkKernel::open(box.nft.get());
  if (!kernel) { return fail_in("open rtnetlink", kernel.error()); }
  const KernelTraits traits{(*kernel)->probe_features().value_or(netmodel::KernelFeatures{}),
                            (*kernel)->port_id(), kernel_has_bonding()};
  box.rtnetlink = kernel->get();
  box.kernel = std::move(*kernel);
  box.originals = std::make_unique<OriginalsFile>(OriginalsFile::open(config.paths.state));
  box.before = std::make_unique<HandBack>(HandBack::open(config.paths.state));

  std::string host_id = host_id_of(config);
  EDGE_ASSIGN(const auto standing, box.kernel->dump({}));
  EDGE_ASSIGN(const auto table, box.kernel->dump_nft());
  auto rebuilt = rebuild_store(*opened, config, host_id, standing, table);
  if (!rebuilt) { return fail_in("rebuild the store", rebuilt.error()); }
  auto remembered = remember(*opened);
  if (!remembered) { return fail_in("read the store", remembered.error()); }
  remembered->store = std::move(*rebuilt);
  remembered->store.file = store_path(config);
  remembered->store.folder = config.paths.state;
  remembered->unfinished =
      taken_up(std::move(remembered->unfinished), opened->standing(), remembered->store.older_copy);
  if (!opened->standing().durable) {
    config.paths.state = config.paths.runtime + "/state";  // For the files of the children.
    EDGE_TRY(make_folder(config.paths.state));
  }

  std::unique_ptr<Daemon> daemon(new Daemon(
      io, std::move(config), std::move(host_id), std::move(*opened), std::move(*remembered),
      std::move(box), traits, own_nft, ConntrackBox{std::move(*conntrack)}));
  EDGE_TRY(daemon->listen());
  return daemon;
}

Daemon::Daemon(boost::asio::io_context& io, Config config, std::string host_id, store::Store store,
               Memory memory, KernelBox kernel, KernelTraits traits, const netmodel::NftKernel& nft,
               ConntrackBox conntrack)
    : io_(io),
      config_(std::move(config)),
      host_id_(std::move(host_id)),
      boot_id_(boot_id()),
      started_(mono_now()),
      host_ports_(io),
      automatic_subnets_(memory.automatic_subnets),
      traits_(traits),
      memory_(std::move(memory)),
      store_(io, std::move(store)),
      kernel_(io, std::move(kernel)),
      conntrack_(io, std::move(conntrack)),
      flows_(io_, conntrack_),
      nft_(nft),
      events_(store_),
      store_keeper_(io, store_, events_, config_.paths.runtime, memory_.store, store_hooks()),
      clock_(io, config_.tunnel, store_, events_, memory_.identity.clock_floor),
      ports_(io, config_, store_, events_,
             {.dirty = [this](const std::string& why) { reconciler_.request(why); },
              .changed =
                  [this](const Port& port) {
                    tunnel_.on_port(port, rank_of(port));
                    changed();
                  },
              .gone =
                  [this](const Port& port) {
                    tunnel_.on_port_gone(port);
                    changed();
                  },
              .carrier_lost =
                  [this](const Port& port) {
                    tunnel_.on_carrier_lost(port);
                    for (const auto& address : port.addresses()) { flows_.address_gone(address); }
                  },
              .bond_moved =
                  [this](const Port& port, const std::string& from, const std::string& to) {
                    failover_.moved(port, from.empty() ? nullptr : ports_.find_by_name(from), from,
                                    to, reconciler_.model());
                    changed();
                  },
              .wire_changed =
                  [this](const Port& port) { failover_.rewired(port, reconciler_.model()); },
              .address_lost = [this](const Port&,
                                     const IpAddress& address) { flows_.address_gone(address); }}),
      reconciler_(io, kernel_, memory_.model,
                  {.facts = [this] { return render_facts(); },
                   .on_model = [this](const netmodel::Model& model) { on_model(model); },
                   .on_turn = [this](const TurnResult& turn) { on_turn(turn); }}),
      sysctl_watch_(io, kernel_,
                    [this](const netmodel::Sysctl& now) {
                      reconciler_.request(fmt::format("sysctl {} is {}", now.path, now.value));
                    }),
      record_keeper_(io, kernel_, [this] { changed(); }),
      services_(io, config_, events_),
      resolvers_(config_.paths.runtime, events_),
      virtual_ip_(io, config_, events_),
      failover_(io, kernel_, events_),
      group_check_(io, ports_, events_, host_id_),
      lights_(io),
      identities_(config_, memory_.store.folder + "/identity", host_id_, events_),
      tunnel_(io, config_,
              {host_id_, memory_.identity.install_id, boot_id_,
               fmt::format("uplink {}", uplink_version)},
              identities_, ports_, store_, events_, clock_,
              {.on_message = [this](tunnel::Channel c,
                                    std::string_view text) { on_tunnel_message(c, text); },
               .on_session_started =
                   [this] {
                     store_keeper_.session_started();
                     identity_keeper_.session_started();
                     commands_.send_unacked();
                     outbox_.restart();
                   },
               .on_change =
                   [this] {
                     changed();
                     trials_.poke();
                     identity_keeper_.on_change();
                   }},
              random_u64()),
      drill_(io,
             {.active = [this] { return tunnel_.active_path(); },
              .name =
                  [this](const std::string& port) {
                    const Port* found = ports_.find(port);
                    return found == nullptr ? port : found->name;
                  },
              .drain =
                  [this](const std::string& port, std::chrono::seconds duration) {
                    if (const Port* found = ports_.find(port)) {
                      ports_.drain(found->base_mac, duration);
                    }
                  },
              .tell = [this](json::object how) { events_.add("failover.drill", std::move(how)); },
              .drained_until = [this](const std::string& port) -> std::optional<MonoTime> {
                const Port* found = ports_.find(port);
                return found == nullptr ? std::nullopt : ports_.drained_until(found->base_mac);
              }}),
      identity_keeper_(
          io, identities_, store_, events_,
          {.send =
               [this](std::string_view text) {
                 return tunnel_.send(tunnel::Channel::commands, text);
               },
           .prove =
               [this](Identities::Context identity, std::function<void(ProofOutcome)> done) {
                 tunnel_.prove_identity(std::move(identity), std::move(done));
               },
           .online = [this] { return tunnel_.online(); },
           .changed = [this] { changed(); }},
          random_u64()),
      trials_(io,
              {.sights = [this] { return tunnel_.sights(); },
               .redial = [this](const PathKey& key) { tunnel_.redial(key); },
               .active = [this] { return tunnel_.active_path(); },
               .prove = [this](std::set<std::string> ports) { tunnel_.prove(std::move(ports)); },
               .remind = [this] { commands_.say_confirming(); },
               .changed = [this] { changed(); }}),
      commands_(
          io, store_, events_, reconciler_, trials_,
          {.facts = [this] { return model_facts(); },
           .refresh =
               [this](std::function<void()> done) {
                 host_ports_.when_usable(uplink_addresses(), std::move(done));
               },
           .act =
               [this](const netmodel::HostAction& action,
                      std::function<void(Result<std::string>)> done) {
                 act(action, std::move(done));
               },
           .drained_until =
               [this](const MacAddress& adapter) { return ports_.drained_until(adapter); },
           .send =
               [this](std::string_view text) {
                 return tunnel_.send(tunnel::Channel::commands, text);
               },
           .say =
               [this](std::string_view text) {
                 return tunnel_.send(tunnel::Channel::commands, text, tunnel::SendRoom::reserved);
               },
           .advise =
               [this](const netmodel::Model& before, const netmodel::Model& after,
                      std::function<void(std::vector<std::string>)> done) {
                 group_check_.check_new(before, after, std::move(done));
               },
           .changed = [this] { changed(); },
           .undone = [this] { tunnel_.release(); },
           .tried = [this] { retire_endpoints(); },
           .replaced = [this] { store_keeper_.release_kept(); },
           .elsewhere =
               [this](const json::object& message) { return identity_keeper_.take(message); },
           .ways = [this](const netmodel::Model& wanted,
                          const TrialTerms& terms) { return ways_after_change(wanted, terms); }},
          boot_id_, {.revision = memory_.revision, .highest = memory_.highest_revision}),
      outbox_(
          io, store_,
          [this](tunnel::Channel c, std::string_view text) { return tunnel_.send(c, text); },
          [this] { return snapshot_view(views()); }),
      watch_timer_(io),
      retry_timer_(io),
      stop_timer_(io),
      ready_(io) {
  if (const passwd* owner = ::getpwnam(config_.taps.owner.c_str()); owner != nullptr) {
    tap_owner_uid_ = owner->pw_uid;
  } else {
    memory_.notes.push_back(
        fmt::format("taps.owner: no user \"{}\"; taps belong to root", config_.taps.owner));
  }
  ports_.remember(memory_.adapters, memory_.leases, memory_.own_mtus);
  commands_.remember(std::move(memory_.revisions));
  clock_.on_change([this] { tunnel_.on_clock_set(); });
  tunnel_.use_endpoints(memory_.model.host.console_endpoints);
  if (tunnel_.retire_endpoints() && !memory_.model.host.console_endpoints.empty()) {
    memory_.notes.emplace_back(
        "a command says where the Console is reached (host.set console): console.endpoints of "
        "uplink.toml are not used");
  }
  // Until the network is that of the stored revision again.
  if (has_undo(memory_.unfinished)) { tunnel_.hold(); }
  events_.listen([this](const store::EventRecord& event) {
    outbox_.pump();
    const json::object line{{"exit", 0}, {"data", json::array{to_json(event)}}};
    for (const auto& weak : event_followers_) {
      if (const auto client = weak.lock()) { client->send(line); }
    }
    changed();
  });
}

Daemon::~Daemon() = default;

Result<void> Daemon::listen() {
  auto monitor = netmodel::LinkMonitor::open(
      io_.get_executor(),
      {.on_link = [this](const netmodel::LinkEvent& event) { ports_.on_link(event); },
       .on_change =
           [this](const netmodel::KernelChange& change) {
             if (!change.by_us) { reconciler_.request(change.text); }
           },
       .on_neighbour =
           [this](const netmodel::NeighbourEvent& event) { ports_.on_neighbour(event); },
       .on_overrun = [this] { reconciler_.overrun(); }},
      {.own_port = traits_.port_id});
  if (!monitor) { return fail_in("listen to netlink", monitor.error()); }
  link_monitor_ = std::move(*monitor);
  auto nft = netmodel::NftMonitor::start(
      io_, [this](std::uint32_t generation) { return nft_.is_own_generation(generation); },
      [this](const netmodel::NftForeignChange& change) {
        if (change.touches_ours) { reconciler_.request("nftables changed by " + change.process); }
      });
  if (!nft) { return fail_in("listen to nftables", nft.error()); }
  nft_monitor_.emplace(std::move(*nft));
  auto control =
      ControlSocket::listen(io_, config_.paths.runtime + "/control.sock",
                            [this](ControlRequest request, std::shared_ptr<ControlClient> client) {
                              on_control(std::move(request), std::move(client));
                            });
  if (!control) { return std::unexpected(control.error()); }
  control_ = std::move(*control);
  if (!config_.status.listen.empty()) {
    auto server =
        StatusServer::listen(io_, parse_host_port(config_.status.listen).value(),
                             [this](const std::string& target) { return on_http(target); });
    if (server) {
      status_server_ = std::move(*server);
    } else {
      memory_.notes.push_back(server.error().what);  // The page is a help, not a condition.
    }
  }
  return {};
}

void Daemon::start() {
  for (const auto& note : memory_.notes) { events_.add("start.note", {{"what", note}}); }
  events_.add("daemon.started", {{"version", std::string(uplink_version)},
                                 {"revision", memory_.revision},
                                 {"boot_id", boot_id_}});
  reconciler_.pause();  // Netlink speaks at once; nothing is planned before the first look.
  store_keeper_.start();
  record_keeper_.start();
  link_monitor_->start();
  first_look();
}

StoreKeeper::Hooks Daemon::store_hooks() {
  return {
      .changed = [this] { changed(); },
      .restart =
          [this] {
            if (restart_) { restart_(); }
          },
      .send =
          [this](std::string_view text) { return tunnel_.send(tunnel::Channel::commands, text); },
      .last_known =
          [this] { return commands_.at_rest() ? std::optional(last_known()) : std::nullopt; },
      .keep = [this](const std::set<std::string>& links) { reconciler_.keep(links); }};
}

void Daemon::on_tunnel_message(tunnel::Channel channel, std::string_view text) {
  drill_.heard();
  switch (channel) {
    case tunnel::Channel::commands:
      if (!store_keeper_.take(text)) { commands_.on_message(text); }
      return;
    case tunnel::Channel::events: outbox_.on_message(text); return;
    case tunnel::Channel::control:
    case tunnel::Channel::telemetry:
    case tunnel::Channel::bulk:
    case tunnel::Channel::streams:  // The tunnel client's own.
      spdlog::debug("tunnel.ignored channel={}", static_cast<int>(channel));
      return;
  }
}

void Daemon::changed() {
  const auto active = tunnel_.active_path();
  const Port* port = active ? ports_.find(active->port) : nullptr;
  if (port != nullptr) { resolvers_.follow(port->l3); }
  store_keeper_.remember_soon();
  outbox_.snapshot_soon();
  std::erase_if(watchers_, [](const auto& weak) { return weak.expired(); });
  std::erase_if(event_followers_, [](const auto& weak) { return weak.expired(); });
  if (watchers_.empty() || watch_armed_) { return; }
  watch_armed_ = true;
  watch_timer_.expires_after(std::chrono::milliseconds(100));
  watch_timer_.async_wait([this](boost::system::error_code ec) {
    watch_armed_ = false;
    if (!ec) { push_watch(); }
  });
}

void Daemon::push_watch() {
  const json::object line{{"exit", 0},
                          {"data", json::object{{"status", status_view(views())},
                                                {"ports", ports_view(views())},
                                                {"paths", tunnel_.paths_json()}}}};
  for (const auto& weak : watchers_) {
    if (const auto client = weak.lock()) { client->send(line); }
  }
}

}  // namespace edge::uplink
