#include "uplink/daemon/store_keeper.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "netmodel/core/rebuild.hpp"
#include "store/io/sha256.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

constexpr std::chrono::seconds remember_delay{1};
/// A restart heals once; a disk that breaks every new file is for people.
constexpr std::chrono::seconds restart_after_uptime{60};

std::string_view kind_of(const Error& error) {
  switch (error.code) {
    case Errc::no_space: return "full";
    case Errc::denied: return "read-only";
    case Errc::invalid_input:
    case Errc::not_found:
    case Errc::conflict:
    case Errc::transient:
    case Errc::corrupt:
    case Errc::unsupported: return "failing";
  }
  return "failing";
}

}  // namespace

StoreKeeper::StoreKeeper(boost::asio::io_context& io, store::StoreWorker& store, EventLog& events,
                         std::string runtime_folder, StoreStart start, Hooks hooks)
    : store_(store),
      events_(events),
      runtime_folder_(std::move(runtime_folder)),
      start_(std::move(start)),
      hooks_(std::move(hooks)),
      timer_(io),
      remember_timer_(io),
      began_(mono_now()) {}

void StoreKeeper::start() {
  if (!durable()) {
    events_.add("store.trouble", {{"state", "memory"},
                                  {"what", start_.standing.reason},
                                  {"next", "commands are refused until the file can be written"}});
  }
  hooks_.keep(start_.kept);
  look();
}

void StoreKeeper::stop() {
  stopped_ = true;
  timer_.cancel();
  remember_timer_.cancel();
  if (std::exchange(remember_armed_, false)) { remember(); }
}

void StoreKeeper::arm() {
  if (stopped_) { return; }
  timer_.expires_after(period);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) { look(); }
  });
}

void StoreKeeper::look() {
  if (std::exchange(looking_, true) || stopped_) { return; }
  settle_if_heard();
  if (!durable()) {
    try_to_return();
    return;
  }
  store_.run(
      [now = wall_now()](store::Store& s) -> Result<Trouble> {
        Trouble trouble = s.trouble();
        if (!trouble || trouble->code == Errc::not_found) { return trouble; }
        const auto healed = s.probe(now);
        return healed ? Trouble() : Trouble(healed.error());
      },
      [this](Result<Trouble> seen) {
        looking_ = false;
        on_look(std::move(seen));
        arm();
      });
}

void StoreKeeper::on_look(Result<Trouble> seen) {
  set_trouble(seen ? std::move(*seen) : Trouble(seen.error()));
  if (!trouble_) {
    events_.retry();
    return;
  }
  const bool lost = trouble_->code == Errc::not_found || trouble_->code == Errc::corrupt;
  if (lost && mono_now() - began_ > restart_after_uptime) { ask_for_restart(trouble_->what); }
}

void StoreKeeper::set_trouble(Trouble trouble) {
  const bool same =
      trouble.has_value() == trouble_.has_value() && (!trouble || trouble->code == trouble_->code);
  const auto held = events_.held();
  trouble_ = std::move(trouble);
  if (same) {
    if (held > 0) { hooks_.changed(); }
    return;
  }
  if (trouble_) {
    trouble_since_ = mono_now();
    spdlog::error("store.trouble state={} what=\"{}\"", kind_of(*trouble_), trouble_->what);
    events_.add("store.trouble", {{"state", kind_of(*trouble_)}, {"what", trouble_->what}});
  } else {
    events_.add("store.recovered",
                {{"after_s", (mono_now() - trouble_since_) / std::chrono::seconds(1)}});
  }
  hooks_.changed();
}

void StoreKeeper::try_to_return() {
  store_.run([path = start_.file,
              now = wall_now()](store::Store& s) -> Result<void> { return s.hand_over(path, now); },
             [this](const Result<void>& returned) {
               looking_ = false;
               if (returned) { return ask_for_restart("the file can be written again"); }
               spdlog::debug("store.still_unusable what=\"{}\"", returned.error().what);
               arm();
             });
}

void StoreKeeper::ask_for_restart(std::string_view reason) {
  if (stopped_ || std::exchange(restart_asked_, true)) { return; }
  spdlog::warn("store.restart reason=\"{}\" next=\"a fresh start in this process\"", reason);
  hooks_.restart();
}

// --- the last known model ------------------------------------------------------------------------

void StoreKeeper::remember_soon() {
  if (stopped_ || std::exchange(remember_armed_, true)) { return; }
  remember_timer_.expires_after(remember_delay);
  remember_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    remember_armed_ = false;
    remember();
  });
}

void StoreKeeper::remember() {
  std::optional<LastKnown> settled = hooks_.last_known();
  if (!settled) { return remember_soon(); }
  LastKnown now = std::move(*settled);
  if (now == remembered_) { return; }
  release_explained(now.model);
  // On the store's thread: the disk may stall. In the same order as the revisions were stored, so
  // that it is never ahead of them.
  store_.run([text = to_json_text(now), state = start_.folder, runtime = runtime_folder_](
                 store::Store&) { return write_last_known(runtime, state, text); },
             [](const Result<void>& written) {
               if (!written) {
                 spdlog::debug("last_known.not_written what=\"{}\"", written.error().what);
               }
             });
  remembered_ = std::move(now);
}

void StoreKeeper::release_kept() {
  if (start_.kept.empty()) { return; }
  json::array links;
  for (const auto& link : start_.kept) { links.emplace_back(link); }
  start_.kept.clear();
  events_.add("store.settled", {{"what", "model.replace explains the network"},
                                {"no_longer_kept", std::move(links)}});
  hooks_.keep(start_.kept);
  hooks_.changed();
}

/// Their setting follows in a commit of its own: a start in between finds them kept, and releases
/// them here again.
void StoreKeeper::release_explained(const netmodel::Model& model) {
  const std::set<std::string> explained = netmodel::explained_links(model);
  const auto released =
      std::erase_if(start_.kept, [&](const std::string& link) { return explained.contains(link); });
  if (released == 0) { return; }
  store_.run([text = json::serialize(json::array(start_.kept.begin(), start_.kept.end()))](
                 store::Store& s) { return s.put_setting(kept_links_setting, text); },
             [](const Result<void>& stored) {
               if (!stored) { spdlog::warn("kept.not_stored reason={}", stored.error().what); }
             });
  hooks_.keep(start_.kept);
  hooks_.changed();
}

// --- commands of a life that is not known --------------------------------------------------------

void StoreKeeper::session_started() { session_since_ = mono_now(); }

/// The Console knows of the loss, and has repeated what it had: what comes from here on is new.
void StoreKeeper::settle_if_heard() {
  const bool waited = session_since_ && mono_now() - *session_since_ >= repeats_within;
  if (start_.settle_event == 0 || !waited) { return; }
  if (!durable() && !start_.standing.journal_known) { return; }
  store_.run(
      [number = start_.settle_event](store::Store& s) -> Result<bool> {
        EDGE_ASSIGN(const std::int64_t acked, s.acked_events());
        if (acked < number) { return false; }
        EDGE_TRY(s.put_setting("settle_event", "0"));
        return true;
      },
      [this](const Result<bool>& heard) {
        if (!heard || !*heard) { return; }
        start_.settle_event = 0;
        hooks_.changed();
      });
}

bool StoreKeeper::take(std::string_view text) {
  const bool unknown = !start_.standing.durable && !start_.standing.journal_known;
  if (start_.settle_event == 0 && !unknown) { return false; }
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec, {}, {.max_depth = 32});
  const auto* message = ec ? nullptr : parsed.if_object();
  const auto* type = message == nullptr ? nullptr : message->if_contains("type");
  const auto* id = message == nullptr ? nullptr : message->if_contains("id");
  if (type == nullptr || id == nullptr || !type->is_string() || !id->is_string()) { return false; }
  if (type->get_string() != "command" || !store::is_command_id(id->get_string())) { return false; }
  answer_unknown(std::string(id->get_string()), std::string(text), store::sha256(text));
  return true;
}

void StoreKeeper::answer_unknown(std::string id, std::string payload, store::Sha256 digest) {
  const json::object result{
      {"type", "result"},
      {"id", id},
      {"state", "indeterminate"},
      {"problems",
       json::array{json::object{
           {"what",
            "store_lost: the host lost its journal; whether this command was run before "
            "is not known, and it was not run now. Look at the host, then send it again "
            "under a new id"}}}},
      {"revision", remembered_.revision}};
  const std::string answer = json::serialize(result);
  store_.run(
      [id, payload = std::move(payload), digest, answer,
       now = wall_now()](store::Store& s) -> Result<std::string> {
        const auto received = s.receive({id, payload, digest, "model"}, now);
        if (!received) { return answer; }  // In memory: said again when it is asked again.
        if (store::is_final(received->state)) { return received->result; }
        EDGE_TRY(s.finish(id, store::CommandState::indeterminate, answer, std::nullopt, now));
        return answer;
      },
      [this, id](const Result<std::string>& stored) {
        if (!stored) {
          spdlog::error("command.not_settled id={} reason=\"{}\"", id, stored.error().what);
          return;  // The Console repeats it.
        }
        spdlog::warn("command.settled id={} state=indeterminate reason=\"the journal was lost\"",
                     id);
        static_cast<void>(hooks_.send(*stored));  // Unsent: the next session says all of them.
      });
}

// --- what people see -----------------------------------------------------------------------------

std::string StoreKeeper::state() const {
  if (!durable()) { return "memory"; }
  return trouble_ ? std::string(kind_of(*trouble_)) : "ok";
}

json::object StoreKeeper::view() const {
  json::object out{{"state", state()}, {"durable", durable() && !trouble_}};
  if (!durable()) {
    out["what"] = start_.standing.reason;
    out["next"] = "commands are refused until the file can be written; it is tried every 2 s";
  } else if (trouble_) {
    out["what"] = trouble_->what;
    out["next"] = trouble_->code == Errc::no_space
                      ? "free some space; commands are refused until then"
                      : "make the disk writable; commands are refused until then";
  }
  if (events_.held() > 0) { out["held_events"] = events_.held(); }
  if (start_.settle_event != 0) { out["settling"] = true; }
  if (!start_.kept.empty()) {
    json::array links;
    for (const auto& link : start_.kept) { links.emplace_back(link); }
    out["kept"] = std::move(links);
  }
  return out;
}

std::string StoreKeeper::problem() const {
  if (!durable()) {
    return fmt::format("store: in memory only ({}); commands are refused", start_.standing.reason);
  }
  if (trouble_) {
    return fmt::format("store: {} ({}); commands are refused", kind_of(*trouble_), trouble_->what);
  }
  if (!start_.kept.empty()) {
    return fmt::format(
        "store: {} links are kept that the model does not explain ({}); send "
        "model.replace",
        start_.kept.size(), fmt::join(start_.kept, ", "));
  }
  return {};
}

}  // namespace edge::uplink
