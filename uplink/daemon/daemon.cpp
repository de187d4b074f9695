#include "uplink/daemon/daemon.hpp"

#include <openssl/pem.h>
#include <pwd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "netmodel/io/nft_tables.hpp"
#include "tunnel/io/certificate.hpp"
#include "uplink/core/takeover.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/hand_back.hpp"
#include "uplink/daemon/notify.hpp"
#include "uplink/daemon/originals.hpp"

namespace edge::uplink {

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

std::string read_line(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  EDGE_ASSERT(::getrandom(&value, sizeof(value), 0) == sizeof(value));
  return value;
}

/// The id in our own certificate, for a configuration that does not say who we are.
std::string host_id_of_file(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) { return {}; }
  const std::unique_ptr<X509, void (*)(X509*)> cert(
      PEM_read_X509(file.get(), nullptr, nullptr, nullptr), X509_free);
  if (!cert) { return {}; }
  return tunnel::host_id_of(*cert).value_or("");
}

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

/// Loaded, built in, or there to be loaded. Asking by making a bond would leave a foreign "bond0"
/// behind: the module makes one as it loads.
bool kernel_has_bonding() {
  if (fs::exists("/proc/net/bonding") || fs::exists("/sys/module/bonding")) { return true; }
  const std::string folder = "/lib/modules/" + read_line("/proc/sys/kernel/osrelease");
  for (const char* list : {"/modules.builtin", "/modules.dep"}) {
    std::ifstream in(folder + list);
    for (std::string line; std::getline(in, line);) {
      if (line.find("/bonding.ko") != std::string::npos) { return true; }
    }
  }
  return false;
}

/// Who else configures this network. A file of theirs that stands is a sign, not a proof: it is
/// only told.
Surroundings look_around() {
  constexpr std::array<std::pair<const char*, const char*>, 7> signs{
      {{"/run/NetworkManager", "NetworkManager"},
       {"/run/systemd/netif/links", "systemd-networkd"},
       {"/run/network/ifstate", "ifupdown"},
       {"/run/libvirt", "libvirt"},
       {"/run/docker.sock", "Docker"},
       {"/run/firewalld", "firewalld"},
       {"/run/ovs", "Open vSwitch"}}};
  Surroundings out;
  for (const auto& [path, name] : signs) {
    if (fs::exists(path)) { out.managers.emplace_back(name); }
  }
  if (auto tables = netmodel::foreign_nft_tables()) { out.nft_tables = std::move(*tables); }
  return out;
}

json::object subnets_json(const std::map<std::string, IpPrefix>& subnets) {
  json::object out;
  for (const auto& [network, prefix] : subnets) { out[network] = edge::to_string(prefix); }
  return out;
}

std::map<std::string, IpPrefix> subnets_of(const std::string& text) {
  std::map<std::string, IpPrefix> out;
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_object()) { return out; }
  for (const auto& [network, value] : parsed.as_object()) {
    if (!value.is_string()) { continue; }
    if (const auto prefix = parse_prefix(std::string_view(value.as_string()))) {
      out[network] = *prefix;
    }
  }
  return out;
}

bool has_undo(const std::vector<store::CommandRecord>& commands) {
  return std::ranges::any_of(commands, [](const auto& command) { return !command.undo.empty(); });
}

}  // namespace

Result<Memory> remember(store::Store& store) {
  Memory out;
  EDGE_ASSIGN(out.identity, store.identity());
  EDGE_ASSIGN(out.adapters, store.adapters());
  EDGE_ASSIGN(out.leases, store.leases());
  EDGE_ASSIGN(out.unfinished, store.unfinished());
  EDGE_ASSIGN(const auto subnets, store.setting("automatic_subnets"));
  if (subnets) { out.automatic_subnets = subnets_of(*subnets); }
  EDGE_ASSIGN(const auto own_mtus, store.setting(Ports::own_mtus_setting));
  out.own_mtus = own_mtus.value_or("");
  EDGE_ASSIGN(const auto newest, store.newest_revision());
  out.model = netmodel::Model::defaults();
  if (!newest) {
    EDGE_TRY(store.add_revision({1, netmodel::to_json_text(out.model), "default", wall_now()}));
    out.revision = 1;
    EDGE_ASSIGN(out.revisions, store.revisions(1));
    return out;
  }
  out.revision = newest->number;
  EDGE_ASSIGN(out.revisions, store.revisions(50));
  for (const auto& summary : out.revisions) {
    EDGE_ASSIGN(const auto revision, store.revision(summary.number));
    if (!revision) { continue; }
    auto model = netmodel::model_from_json(revision->model);
    if (model) {
      out.model = std::move(*model);
      return out;
    }
    out.notes.push_back(fmt::format("revision {} cannot be read ({}); trying the one before",
                                    summary.number, model.error().what));
  }
  return out;
}

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

  std::string host_id = config.host.id;
  if (host_id.empty() && !config.console.certificate.empty()) {
    host_id = host_id_of_file(config.console.certificate);
  }
  if (host_id.empty()) { host_id = read_line("/proc/sys/kernel/hostname"); }

  EDGE_ASSIGN(const auto standing, box.kernel->dump({}));
  EDGE_ASSIGN(const auto table, box.kernel->dump_nft());
  auto rebuilt = rebuild_store(*opened, config, host_id, standing, table);
  if (!rebuilt) { return fail_in("rebuild the store", rebuilt.error()); }
  auto remembered = remember(*opened);
  if (!remembered) { return fail_in("read the store", remembered.error()); }
  remembered->store = std::move(*rebuilt);
  remembered->store.file = store_path(config);
  remembered->store.folder = config.paths.state;
  // What is not on disk as begun cannot be ended either: it waits for the disk.
  remembered->in_trial = has_undo(remembered->unfinished);
  if (!opened->standing().durable) {
    remembered->unfinished.clear();
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
      boot_id_(read_line("/proc/sys/kernel/random/boot_id")),
      started_(mono_now()),
      automatic_subnets_(memory.automatic_subnets),
      traits_(traits),
      memory_(std::move(memory)),
      store_(io, std::move(store)),
      kernel_(io, std::move(kernel)),
      conntrack_(io, std::move(conntrack)),
      flows_(conntrack_),
      nft_(nft),
      events_(store_),
      store_keeper_(io, store_, events_, config_.paths.runtime, memory_.store, store_hooks()),
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
                    if (port.lease) { flows_.address_gone(port.lease->address.address); }
                  },
              .bond_moved =
                  [this](const Port& port, const std::string& from, const std::string& to) {
                    failover_.moved(port, from.empty() ? nullptr : ports_.find_by_name(from), from,
                                    to, reconciler_.model());
                    changed();
                  },
              .address_lost = [this](const Port&,
                                     const IpAddress& address) { flows_.address_gone(address); }}),
      reconciler_(io, kernel_, memory_.model,
                  {.facts = [this] { return render_facts(); },
                   .on_model = [this](const netmodel::Model& model) { ports_.take_places(model); },
                   .on_turn = [this](const TurnResult& turn) { on_turn(turn); }}),
      services_(io, config_, events_),
      virtual_ip_(io, config_, events_),
      failover_(io, kernel_, events_),
      group_check_(io, ports_, events_, host_id_),
      lights_(io),
      tunnel_(io, config_,
              {host_id_, memory_.identity.install_id, boot_id_,
               fmt::format("uplink {}", uplink_version), memory_.identity.clock_floor},
              ports_, store_, events_,
              {.on_message = [this](tunnel::Channel c,
                                    std::string_view text) { on_tunnel_message(c, text); },
               .on_session_started =
                   [this] {
                     store_keeper_.session_started();
                     commands_.send_unacked();
                     outbox_.restart();
                   },
               .on_change =
                   [this] {
                     changed();
                     trials_.poke();
                   },
               .on_console_time =
                   [this](WallTime time) {
                     store_.run([time](store::Store& s) { return s.raise_clock_floor(time); },
                                [](const Result<void>&) {});  // The next WELCOME says it again.
                   }},
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
           .act = [this](const netmodel::HostAction& action,
                         std::function<void(Result<void>)> done) { act(action, std::move(done)); },
           .send =
               [this](std::string_view text) {
                 return tunnel_.send(tunnel::Channel::commands, text);
               },
           .advise =
               [this](const netmodel::Model& before, const netmodel::Model& after,
                      std::function<void(std::vector<std::string>)> done) {
                 group_check_.check_new(before, after, std::move(done));
               },
           .changed = [this] { changed(); },
           .undone = [this] { tunnel_.release(); }},
          boot_id_, memory_.revision),
      outbox_(
          io, store_,
          [this](tunnel::Channel c, std::string_view text) { return tunnel_.send(c, text); },
          [this] { return snapshot_view(views()); }),
      watch_timer_(io),
      retry_timer_(io) {
  if (const passwd* owner = ::getpwnam(config_.taps.owner.c_str()); owner != nullptr) {
    tap_owner_uid_ = owner->pw_uid;
  } else {
    memory_.notes.push_back(
        fmt::format("taps.owner: no user \"{}\"; taps belong to root", config_.taps.owner));
  }
  ports_.remember(memory_.adapters, memory_.leases, memory_.own_mtus);
  commands_.remember(std::move(memory_.revisions));
  // Until the network is that of the stored revision again.
  if (memory_.in_trial) { tunnel_.hold(); }
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
       .on_overrun = [this] { reconciler_.request("netlink overrun"); }},
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
      .last_known = [this] { return last_known(); },
      .keep = [this](const std::set<std::string>& links) { reconciler_.keep(links); }};
}

LastKnown Daemon::last_known() const {
  LastKnown out{.host_id = host_id_,
                .revision = commands_.revision(),
                .model = reconciler_.model(),
                .adapters = {},
                .automatic_subnets = automatic_subnets_};
  for (const auto& [key, port] : ports_.all()) {
    if (port.table == 0) { continue; }
    out.adapters.push_back({port.base_mac, port.table - netmodel::table_first, port.name});
  }
  return out;
}

void Daemon::first_look() {
  // What stands is looked at before anything is planned: a restart must not see its own bridges as
  // strange.
  kernel_.run([](KernelBox& box) { return box.kernel->dump({}); },
              [this](const Result<netmodel::ObservedState>& observed) {
                if (stopping_) { return; }
                if (!observed) {
                  spdlog::error("kernel.unreadable reason={}", observed.error().what);
                  retry_timer_.expires_after(std::chrono::seconds(1));
                  retry_timer_.async_wait([this](boost::system::error_code ec) {
                    if (!ec) { first_look(); }
                  });
                  return;
                }
                tell_takeover(*observed);
                ports_.on_dump(*observed, reconciler_.model());
                reconciler_.request("start");
                reconciler_.resume();
              });
}

/// Before the first write: what is taken; and, where that is news, what is in the way and what is
/// left alone.
void Daemon::tell_takeover(const netmodel::ObservedState& observed) {
  std::vector<Finding> others;
  for (auto& finding : takeover_findings(observed, ports_.adapters(observed), look_around())) {
    if (finding.kind == takeover_adapter) {
      events_.add(finding.kind, std::move(finding.data));
    } else {
      others.push_back(std::move(finding));
    }
  }
  std::string text;
  for (const auto& finding : others) { text += json::serialize(finding.data) + "\n"; }
  store_.run(
      [text](store::Store& s) -> Result<bool> {
        EDGE_ASSIGN(const auto told, s.setting("takeover_told"));
        if (told.value_or("") == text) { return false; }
        EDGE_TRY(s.put_setting("takeover_told", text));
        return true;
      },
      [this, others](const Result<bool>& news) {
        if (news && !*news) { return; }
        for (const auto& finding : others) { events_.add(finding.kind, finding.data); }
      });
}

void Daemon::on_turn(const TurnResult& turn) {
  tell_drift(turn);
  tell_notes(turn);
  ports_.on_dump(turn.observed, reconciler_.model());
  services_.apply(turn.rendered.services);
  virtual_ip_.apply(turn.rendered.virtual_address);
  virtual_ip_.observe(turn.observed);
  group_check_.changed(reconciler_.model());
  flows_.on_rules(turn.rendered.nft);
  if (turn.rendered.automatic_subnets != automatic_subnets_) {
    automatic_subnets_ = turn.rendered.automatic_subnets;
    store_.run([text = json::serialize(subnets_json(automatic_subnets_))](
                   store::Store& s) { return s.put_setting("automatic_subnets", text); },
               [](const Result<void>& stored) {
                 if (!stored) {
                   spdlog::error("subnets.not_stored reason={}", stored.error().what);
                 }
               });
    reconciler_.request("automatic subnets");
  }
  if (!turn.verified &&
      !stopping_) {  // The kernel refused or changed meanwhile: look again, not in a spin.
    retry_timer_.expires_after(std::chrono::milliseconds(turn.errors.empty() ? 50 : 1000));
    retry_timer_.async_wait([this](boost::system::error_code ec) {
      if (!ec) { reconciler_.request("not verified"); }
    });
  }
  listening();  // What listens is told from a question in flight by how long it is there.
  if (!std::exchange(recovered_, true)) {
    // A trial from before may have been undone by this turn; if the kernel refused, Commands looks
    // for a state that it takes, and nothing is dialled before that.
    const bool refused = !turn.errors.empty() || !turn.conflicts.empty();
    if (!refused || !has_undo(memory_.unfinished)) { tunnel_.release(); }
    commands_.recover(std::move(memory_.unfinished));
    notify_systemd("READY=1");
  }
  changed();
}

void Daemon::tell_drift(const TurnResult& turn) {
  const auto& before = reconciler_.last();
  const bool same_wish = before && before->verified &&
                         before->rendered.state == turn.rendered.state &&
                         before->rendered.nft == turn.rendered.nft;
  if (!same_wish || turn.plan.empty()) { return; }
  json::array lines;
  for (const auto& line : turn.plan) {
    if (lines.size() == 20) { break; }
    lines.emplace_back(line.substr(0, 400));
  }
  events_.add(
      "drift.repaired",
      {{"writes", turn.plan.size()}, {"lines", std::move(lines)}, {"verified", turn.verified}});
}

void Daemon::tell_notes(const TurnResult& turn) {
  std::vector<std::string> now;
  for (const auto& note : turn.rendered.notes) {
    now.push_back(note.what);
    if (std::ranges::find(notes_told_, note.what) == notes_told_.end()) {
      events_.add(note.kind, {{"what", note.what}});
    }
  }
  for (const auto& conflict : turn.conflicts) {
    now.push_back(conflict);
    if (std::ranges::find(notes_told_, conflict) == notes_told_.end()) {
      events_.add("conflict", {{"what", conflict}});
    }
  }
  notes_told_ = std::move(now);
}

netmodel::RenderFacts Daemon::render_facts() const {
  netmodel::RenderFacts facts;
  facts.host_id = host_id_;
  facts.adapters = ports_.adapter_facts();
  facts.vlan_filtering = traits_.features.vlan_filtering;
  facts.ipv6 = traits_.features.ipv6;
  facts.tap_owner_uid = tap_owner_uid_;
  facts.taken = ports_.foreign();
  facts.automatic_subnets = automatic_subnets_;
  return facts;
}

/// Commands come in bursts, and reading /proc costs as much as a small command.
const std::vector<netmodel::ReservedPort>& Daemon::listening() {
  constexpr std::chrono::milliseconds fresh(250);
  const MonoTime now = mono_now();
  if (listening_read_ && now - *listening_read_ < fresh) { return listening_; }
  std::vector<IpAddress> addresses;
  for (const auto& adapter : ports_.adapter_facts()) {
    if (adapter.lease) { addresses.push_back(adapter.lease->address.address); }
    for (const auto& seen : adapter.v6.seen) { addresses.push_back(seen.address); }
    for (const auto& owned : adapter.v6.owned) { addresses.push_back(owned.address); }
  }
  auto read = listener_reader_.read(std::move(addresses), now);
  if (read) {
    listening_ = std::move(*read);
  } else {
    spdlog::warn("listeners.unreadable what=\"{}\" next=\"the last list counts\"",
                 read.error().what);
  }
  listening_read_ = now;
  return listening_;
}

netmodel::ModelFacts Daemon::model_facts() {
  netmodel::ModelFacts facts;
  facts.host_id = host_id_;
  facts.adapters = ports_.known_adapters();
  facts.taken = ports_.taken();
  facts.automatic_subnets = automatic_subnets_;
  facts.vlan_filtering = traits_.features.vlan_filtering;
  facts.bonding = traits_.bonding;
  if (const auto listen = parse_host_port(config_.status.listen)) {
    facts.reserved_ports.push_back({netmodel::Transport::tcp, listen->port, "the status page"});
  }
  for (const auto& port : listening()) {
    const bool known = std::ranges::any_of(facts.reserved_ports, [&](const auto& other) {
      return other.protocol == port.protocol && other.port == port.port;
    });
    if (!known) { facts.reserved_ports.push_back(port); }
  }
  return facts;
}

unsigned Daemon::rank_of(const Port& port) const {
  const auto order = netmodel::uplink_ranks(reconciler_.model(), ports_.adapter_facts());
  const auto found = std::ranges::find(order, port.base_mac);
  return static_cast<unsigned>(found - order.begin());
}

void Daemon::on_tunnel_message(tunnel::Channel channel, std::string_view text) {
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

ViewSources Daemon::views() const {
  return {host_id_,  started_,     ports_,      tunnel_, reconciler_,  commands_,
          services_, group_check_, virtual_ip_, trials_, store_keeper_};
}

void Daemon::changed() {
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

std::string Daemon::new_uuid() const {
  std::uint64_t high = random_u64();
  std::uint64_t low = random_u64();
  high = (high & ~0xf000ULL) | 0x4000ULL;            // RFC 4122 version 4,
  low = (low & ~(0xc0ULL << 56)) | (0x80ULL << 56);  // ... variant 1.
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffffffffffffULL);
}

void Daemon::stop(std::function<void()> done) {
  if (stopping_) { return; }
  stopping_ = true;
  notify_systemd("STOPPING=1");
  reconciler_.stop();
  flows_.stop();
  failover_.stop();
  group_check_.stop();
  trials_.stop();
  commands_.stop();
  outbox_.stop();
  store_keeper_.stop();
  retry_timer_.cancel();
  watch_timer_.cancel();
  tunnel_.stop();
  link_monitor_->stop();
  nft_monitor_.reset();
  control_.reset();
  status_server_.reset();
  services_.leave();
  virtual_ip_.leave();
  ports_.stop(std::move(done));
}

}  // namespace edge::uplink
