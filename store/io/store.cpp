// Store: opening, schema, group commit, identity and settings.
#include "store/io/store.hpp"

#include <sys/random.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "base/assert.hpp"
#include "store/io/store_state.hpp"

namespace edge::store {
namespace {

constexpr const char* kMigrations[] = {
    // 1
    "CREATE TABLE journal("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, payload BLOB NOT NULL, sha256 BLOB NOT "
    "NULL,"
    " class TEXT NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL DEFAULT '',"
    " result_acked INTEGER NOT NULL DEFAULT 0, boot_id TEXT NOT NULL DEFAULT '',"
    " step TEXT NOT NULL DEFAULT '', undo TEXT NOT NULL DEFAULT '',"
    " received INTEGER NOT NULL, started INTEGER, finished INTEGER);"
    "CREATE INDEX journal_open ON journal(seq) WHERE finished IS NULL;"
    "CREATE INDEX journal_unacked ON journal(seq) WHERE finished IS NOT NULL AND result_acked=0;"
    "CREATE TABLE revisions(number INTEGER PRIMARY KEY, model TEXT NOT NULL, cause TEXT NOT NULL,"
    " time INTEGER NOT NULL);"
    "CREATE TABLE adapters(mac TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, last_name TEXT "
    "NOT NULL,"
    " first_seen INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE leases(adapter TEXT NOT NULL, family INTEGER NOT NULL, json TEXT NOT NULL,"
    " stored INTEGER NOT NULL, PRIMARY KEY(adapter, family)) WITHOUT ROWID;"
    "CREATE TABLE endpoints(adapter TEXT NOT NULL, endpoint TEXT NOT NULL, addresses TEXT NOT NULL,"
    " stored INTEGER NOT NULL, PRIMARY KEY(adapter, endpoint)) WITHOUT ROWID;"
    "CREATE TABLE reputation(adapter TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE events(number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
    " kind TEXT NOT NULL, json TEXT NOT NULL);"
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
};

}  // namespace

Migrations host_migrations() { return kMigrations; }

Result<std::string> random_uuid() {
  std::array<std::uint8_t, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail_errno(errno, "getrandom");
  }
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);
  const std::string hex = fmt::format("{:02x}", fmt::join(bytes, ""));
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

FileId FileId::of(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) { return {}; }
  return {.device = facts.st_dev, .inode = facts.st_ino};
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const std::string& path, WallTime now, const StoreOptions& options) {
  EDGE_ASSIGN(OpenedDatabase opened, open_database(path, kMigrations, {.vfs = options.vfs}));
  const std::int64_t reserve_bytes = path == ":memory:" ? 0 : options.limits.reserve_bytes;
  Store store(std::make_unique<State>(State{.database = std::move(opened.database),
                                            .outcome = std::move(opened.outcome),
                                            .limits = options.limits,
                                            .reserve = Reserve(path + ".reserve", reserve_bytes),
                                            .path = path,
                                            .file = FileId::of(path),
                                            .journal_usage = std::nullopt,
                                            .events_usage = std::nullopt}));
  // A full disk must not keep the daemon from starting: receive() asks for the reserve again.
  if (auto held = store.state_->reserve.ensure(); !held) {
    if (held.error().code != Errc::no_space) { return std::unexpected(std::move(held).error()); }
    store.state_->note(held.error());
  }
  EDGE_ASSIGN(const auto install_id, store.setting("install_id"));
  if (!install_id) {
    EDGE_ASSIGN(const std::string fresh, random_uuid());
    // For people. It is no floor: the clock of a new machine may say anything.
    EDGE_TRY(store.put_setting("installed_at", std::to_string(to_ms(now))));
    EDGE_TRY(store.put_setting("install_id", fresh));
  }
  return store;
}

const OpenOutcome& Store::opened() const { return state_->outcome; }
const Standing& Store::standing() const { return state_->standing; }

std::optional<Error> Store::trouble() const {
  if (state_->file != FileId{} && state_->file != FileId::of(state_->path)) {
    return Error{Errc::not_found, 0, fmt::format("{} was removed or replaced", state_->path)};
  }
  return state_->trouble;
}

Result<void> Store::probe(WallTime now) {
  EDGE_TRY(state_->must_be_durable());
  EDGE_TRY(state_->reserve.ensure());
  EDGE_TRY(state_->write([&] { return put_setting("probe", std::to_string(to_ms(now))); }));
  state_->trouble.reset();
  return {};
}

// --- Group commit --------------------------------------------------------------------------------

Result<void> Store::begin_group() {
  if (state_->group_depth == 0) { EDGE_TRY(state_->database.begin()); }
  ++state_->group_depth;
  return {};
}

Result<void> Store::end_group() {
  EDGE_ASSERT(state_->group_depth > 0);
  if (--state_->group_depth > 0) { return {}; }
  if (state_->wants_room) {
    state_->wants_room = false;
    state_->database.take_back();
    state_->forget_usage();
    return fail(Errc::no_space, "database or disk is full");
  }
  auto committed = state_->database.commit();
  if (!committed) {
    state_->forget_usage();
    state_->note(committed.error());
  }
  return committed;
}

Result<void> Store::renew_install_id() {
  EDGE_ASSIGN(const std::string fresh, random_uuid());
  return put_setting("install_id", fresh);
}

Result<void> Store::begin_whole() {
  EDGE_ASSERT(state_->group_depth > 0);
  return state_->database.begin();
}

Result<void> Store::end_whole(Result<void> result) {
  if (result) {
    result = state_->database.commit();
  } else {
    state_->database.take_back();
  }
  if (!result) {
    state_->forget_usage();
    state_->note(result.error());
  }
  return result;
}

bool Store::make_room(const Error& error) {
  state_->refuse_new =
      error.code == Errc::no_space && state_->group_depth == 0 && state_->reserve.release();
  return state_->refuse_new;
}

void Store::room_spent() { state_->refuse_new = false; }

// --- Identity and settings
// -------------------------------------------------------------------------

Result<Identity> Store::identity() {
  Identity out;
  EDGE_ASSIGN(auto install_id, setting("install_id"));
  EDGE_ASSIGN(const auto epoch, setting("epoch"));
  EDGE_ASSIGN(const auto floor, setting("clock_floor"));
  out.install_id = std::move(install_id).value_or("");
  out.epoch = std::atoll(epoch.value_or("0").c_str());
  out.clock_floor = from_ms(std::atoll(floor.value_or("0").c_str()));
  return out;
}

Result<std::int64_t> Store::next_epoch() {
  return state_->must_write([&]() -> Result<std::int64_t> {
    EDGE_ASSIGN(const auto epoch, setting("epoch"));
    const std::int64_t next = std::atoll(epoch.value_or("0").c_str()) + 1;
    EDGE_TRY(put_setting("epoch", std::to_string(next)));
    return next;
  });
}

Result<void> Store::raise_clock_floor(WallTime known) {
  EDGE_ASSIGN(const auto floor, setting("clock_floor"));
  if (std::atoll(floor.value_or("0").c_str()) >= to_ms(known)) { return {}; }
  return put_setting("clock_floor", std::to_string(to_ms(known)));
}

Result<void> Store::put_setting(std::string_view key, std::string_view value) {
  return state_->must_write([&]() -> Result<void> {
    EDGE_ASSIGN(Query row,
                state_->database.query("INSERT INTO settings VALUES(?1,?2)"
                                       " ON CONFLICT(key) DO UPDATE SET value=excluded.value"));
    return row.bind(key, value).run();
  });
}

Result<std::optional<std::string>> Store::setting(std::string_view key) {
  EDGE_ASSIGN(Query rows, state_->database.query("SELECT value FROM settings WHERE key=?1"));
  rows.bind(key);
  return optional_row(rows, [](Query& row) { return row.text(0); });
}

}  // namespace edge::store
