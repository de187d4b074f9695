// Commands, exactly once: journalled before they are acknowledged, executed in order, answered
// until heard.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "netmodel/core/apply_operations.hpp"
#include "store/io/store_worker.hpp"
#include "uplink/core/ways.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/reconciler.hpp"
#include "uplink/daemon/trials.hpp"

namespace edge::uplink {

/// `{"revision","cause","time","bytes"}`
boost::json::object to_json(const store::RevisionSummary& revision);

/// Of what a command asks for, whatever the order of its members. A text that is no object: of the
/// text.
store::Sha256 digest_of(std::string_view payload);

/// Role: the one executor of commands, from the Console and from uplinkctl alike.
///
/// What makes it exactly once: the payload is on disk before "stored" is said; model operations are
/// declarative and their revision and result are committed in one transaction, so that a command
/// cut off before is simply run again; an action that cannot be verified (identify) is never run
/// twice but answered `indeterminate`.
///
/// What can touch a path is a trial (uplink/core/trial.hpp): its undo is on disk before the first
/// kernel change, its revision only when it was kept. A daemon that stops in between finds the
/// revision from before in its store, shows it again and answers `rolled_back`. Time: wall clock
/// for deadlines and records. Threads: the io_context's.
class Commands {
 public:
  struct Hooks {
    std::function<netmodel::ModelFacts()> facts;
    /// Calls back when `facts` is recent enough to decide by, perhaps at once. Not set: always.
    std::function<void(std::function<void()>)> refresh{};
    /// Does an action and says once how it went, perhaps before it returns: what was seen of it,
    /// or "".
    std::function<void(const netmodel::HostAction&, std::function<void(Result<std::string>)>)> act;
    /// Until when the port that an adapter belongs to is drained; nullopt: it is not. Not set: no
    /// port ever is.
    std::function<std::optional<MonoTime>(const MacAddress&)> drained_until{};
    /// Sends on channel 1. Errors: no session, or back-pressure: asked again after `send_period`.
    std::function<Result<void>(std::string_view)> send;
    /// The same for a word of `word_bytes_max` at most on what is under way: there is room for it
    /// though results fill the channel. Not set: as `send`.
    std::function<Result<void>(std::string_view)> say{};
    /// What a person should know about a change before it is made; called once, perhaps at once.
    std::function<void(const netmodel::Model& before, const netmodel::Model& after,
                       std::function<void(std::vector<std::string>)>)>
        advise;
    std::function<void()> changed;  ///< Model or revision changed.
    /// A trial that a former life left is taken back, as far as the kernel lets it: dialling may
    /// begin.
    std::function<void()> undone{};
    std::function<void()> tried{};  ///< A trial is over, and the network is what its end left.
    /// A model.replace is done, whether it changed anything or not: nothing is kept beside the
    /// model any more, and `kept_links_setting` on disk says so already.
    std::function<void()> replaced{};
    /// A message of channel 1 that may be about something else: true when it was.
    std::function<bool(const boost::json::object&)> elsewhere{};
    /// Over what the Console stays reachable when `wanted` is tried out on these terms.
    std::function<WaysAfter(const netmodel::Model& wanted, const TrialTerms& terms)> ways{};
    /// A disk that did not take a command's end is asked again so often.
    std::chrono::milliseconds disk_period{2000};
    /// A channel that did not take a result is asked again so often.
    std::chrono::milliseconds send_period{1000};
  };
  static constexpr std::chrono::seconds confirm_within_default{120};
  static constexpr std::size_t queue_max = 4096;
  static constexpr std::size_t word_bytes_max = 512;
  /// So often Reconciler::converge is asked for the proof that a model is back.
  static constexpr int proofs_max = 3;
  static constexpr std::chrono::milliseconds look_again{200}, look_again_max{2000};
  /// Commands that wait together share one turn of the kernel and one commit; each still has its
  /// own revision and result. If the kernel refuses the whole, they are tried one by one.
  static constexpr std::size_t batch_max = 64;

  /// A number is given to a change before the kernel sees it, and to no other one ever after,
  /// whatever becomes of it: a command that was made for it can only mean that change.
  struct Numbers {
    std::int64_t revision = 0;  ///< In force.
    std::int64_t highest = 0;   ///< Ever given.
  };

  Commands(boost::asio::io_context& io, store::StoreWorker& store, EventLog& events,
           Reconciler& reconciler, Trials& trials, Hooks hooks, std::string boot_id,
           Numbers numbers);

  /// What a former life of the daemon left: runs it, or says what can't be known. Call once.
  void recover(std::vector<store::CommandRecord> unfinished);
  /// A message of channel 1.
  void on_message(std::string_view text);
  /// A new session: all results that the Console did not acknowledge go out again, each once; one
  /// that ends meanwhile perhaps twice.
  void send_unacked();

  /// A command of a person at the machine: the same way, the result comes back here.
  void run_local(const boost::json::object& command, std::function<void(boost::json::object)> done);

  /// Ends the trial that is under way: it is taken back, or not begun; `done` hears its result when
  /// that is stored. False: there is none, and `done` is not called.
  ///
  /// There is no confirm beside it: only the Console can say that it still reaches this host. Who
  /// wants to keep what the Console tried ends it and applies it himself.
  bool abort_trial(std::string why, std::function<void(boost::json::object)> done);

  /// Before stop(): takes up nothing more, has the trial that is under way taken back for `why`,
  /// and calls `done` once what is begun is ended; at once where nothing is. stop() need not wait
  /// for it: the next start ends what is left.
  void wind_down(std::string why, std::function<void()> done);

  /// Tells the Console again which command waits for its confirm.
  void say_confirming();

  // commands_history.cpp
  static constexpr std::size_t revisions_shown = 16;  ///< In each snapshot.
  static constexpr std::int64_t revisions_told_max = 200;
  /// The newest revisions, newest first, as a start finds them.
  void remember(std::vector<store::RevisionSummary> newest);
  /// `[{"revision","cause","time","bytes"}]`, newest first.
  boost::json::array newest_revisions() const;

  std::int64_t revision() const { return revision_; }
  /// The one before that in force; numbers have holes.
  std::int64_t revision_before() const;
  /// False: the network may be that of a change that has no revision yet, or never will.
  bool at_rest() const { return !running_; }
  bool trying() const { return !trying_.empty(); }
  std::uint64_t executed() const { return executed_; }
  std::size_t pending() const { return queue_.size(); }
  void stop() {
    stopped_ = true;
    wound_down_ = nullptr;
    retry_timer_.cancel();
    disk_timer_.cancel();
  }

 private:
  struct Item {
    std::string id;
    std::string payload;
    bool began = false;       ///< In state applying already: a restart interrupted it.
    std::string undo{};       ///< Not empty: a trial was interrupted.
    bool local = false;       ///< Of a person at the machine.
    std::int64_t number = 0;  ///< Of the revision that it makes, from the first try on.
    store::Sha256 digest{};   ///< Of what it asks for.
    bool aborted = false;     ///< Before its turn came.
    // Of a person at the machine, who may name a revision in place of a model (model.replace).
    bool looked_up = false;                                ///< Whether it does.
    std::shared_ptr<const boost::json::value> resolved{};  ///< Set: `payload` with that model.
    std::string unresolved{};                              ///< Not empty: why there is none.
  };
  /// A drain that a command changed, and until when the port was drained before it.
  struct Drained {
    netmodel::DrainPort drain;
    std::optional<MonoTime> before;
  };
  /// What will be answered, and what has to be done before that.
  struct Decision {
    Item item;
    MonoTime began{};
    store::CommandState state = store::CommandState::done;
    std::vector<netmodel::Problem> problems;
    std::size_t problems_dropped = 0;
    std::vector<std::string> plan;
    std::vector<std::string> consequences;  ///< What somebody would notice.
    std::optional<WaysAfter>
        ways;  ///< Of trial and dry run: over what the Console stays reachable.
    std::vector<std::string> warnings;
    bool dry_run = false;
    bool trial = false;
    bool force = false;
    bool accept_regression = false;
    std::chrono::seconds confirm_within = confirm_within_default;
    std::optional<std::int64_t> made_for;   ///< Of superseded: the revision that it names.
    std::vector<std::string> difference;    ///< Of superseded: between that one and the present.
    std::optional<netmodel::Model> model;   ///< Set: it changes the model to this.
    std::optional<netmodel::Model> landed;  ///< The undo was refused: this older one stands.
    std::optional<netmodel::Model> before;  ///< Of a trial that has begun.
    std::vector<std::string> known;         ///< Trouble from before it.
    /// What stood before its batch, one copy for all of it: the way back where the disk does not
    /// tell. Set before the first kernel change.
    std::shared_ptr<const netmodel::Model> former;
    std::vector<netmodel::HostAction> actions;
    std::vector<std::string> observed{};  ///< What was seen of the actions.
    std::vector<Drained> drained{};       ///< In the order in which it did so.
    bool replaces = false;                ///< It says what the whole network is: model.replace.
    bool changes_model() const { return state == store::CommandState::done && model && !dry_run; }
    bool touches_kernel() const {
      return state == store::CommandState::done && (model || !actions.empty()) && !dry_run;
    }
  };
  using Batch = std::vector<Decision>;

  void enqueue(Item item);
  void wake();
  boost::asio::awaitable<void> run();
  /// Makes the kernel show the batch's last model. False: it refused, and shows the former model
  /// again.
  boost::asio::awaitable<bool> apply(std::shared_ptr<Batch> batch);
  boost::asio::awaitable<bool> dry_run(Decision& decision);
  /// What somebody would notice of it, and over what the Console stays reachable.
  void foretell(Decision& decision, const TurnResult& planned) const;
  /// On disk before the first kernel change; false: it is not, and all are refused.
  boost::asio::awaitable<bool> begin(std::shared_ptr<Batch> batch, std::string undo);
  /// Pre: both models outlive it.
  boost::asio::awaitable<std::vector<std::string>> advice(const netmodel::Model& before,
                                                          const netmodel::Model& after);
  boost::asio::awaitable<void> refresh_facts();
  /// Neither stop() nor wind_down() was called.
  bool goes_on() const { return !stopped_ && !closing_; }
  boost::asio::awaitable<Result<std::string>> act(netmodel::HostAction action);

  // commands_channel.cpp
  static constexpr std::string_view local_class = "local";  ///< In the journal, of Item::local.
  static constexpr std::string_view aborted_text = "ended by the Console before it was applied";
  void receive(std::string id, std::string payload, const boost::json::object& message);
  void ask_journal(store::IncomingCommand command);
  void refuse_receipt(const std::string& id, std::string_view what);
  void on_receipt(const store::IncomingCommand& command,
                  const Result<store::ReceiveOutcome>& outcome);
  void take_up_again(const std::string& id);
  void on_abort(const std::string& id);
  void end_before_its_turn(Item item);
  void say(const boost::json::object& message);
  void answer(const std::string& id, const std::string& result_json);
  void tell_waiters(const std::string& id, const boost::json::object& result);
  static constexpr std::size_t results_page = 32;
  static constexpr std::size_t owed_max = 4096;
  void send_from_the_first();
  void send_later();
  /// What is left of the journal, then what is owed; ends where the channel is full.
  void send_more();
  void send_page();
  void send_owed();
  /// False: not now.
  bool send_again(const std::string& id, const std::string& result_json);

  // commands_history.cpp
  /// Reads for those that wait the revisions which they name in place of a model. They never were
  /// in a message: what bounds a command's size does not bound them.
  boost::asio::awaitable<void> look_up_revisions();
  static void look_up(Item& item, std::int64_t number,
                      const Result<std::optional<store::Revision>>& kept);
  void answer_history(const std::string& id, const boost::json::object& question);
  void on_console_knows(const boost::json::object& message);
  boost::asio::awaitable<void> renumber();

  // commands_decide.cpp
  Batch take_batch(std::size_t size_max);
  /// One that is tried again, singly or after the disk healed, is what it was.
  void number(Decision& decision, std::int64_t in_force);
  /// To the head of the queue, in order.
  void put_back(Batch& batch);
  void add_model_problems(const std::string& payload, const netmodel::Model& base,
                          netmodel::Problems& problems) const;
  Decision decide(Item item, const netmodel::Model& base, std::int64_t revision) const;
  static void refuse(Decision& decision, std::string what);

  // commands_end.cpp
  struct End {
    std::string id;
    store::CommandState state;
    std::string result;
    std::optional<store::Revision> revision;
    std::int64_t retired = 0;  ///< The number of a change that does not stay.
    bool replaces = false;     ///< A model.replace is done.
  };
  using Ends = std::shared_ptr<const std::vector<End>>;
  /// False: run it again. Either the disk did not take it, and takes again now; or the store takes
  /// the end of one of several never, and they go singly. What it changed does not stand any more.
  boost::asio::awaitable<bool> execute(std::shared_ptr<Batch> batch);
  boost::asio::awaitable<Ends> ends_of(std::shared_ptr<Batch> batch);
  boost::asio::awaitable<Result<void>> store_ends(Ends ends);
  boost::asio::awaitable<netmodel::Model> stored_model(
      std::shared_ptr<const netmodel::Model> former);
  boost::asio::awaitable<void> show_stored(std::shared_ptr<const netmodel::Model> former);
  boost::asio::awaitable<void> undo_for(Decision& decision, std::string why);
  /// Ports are drained as they were before it.
  boost::asio::awaitable<void> undrain(Decision& decision);
  boost::asio::awaitable<void> disk_healed();
  void tell_unstored(const std::vector<End>& ends, const Error& error);
  boost::asio::awaitable<Ends> shorter_ends(std::shared_ptr<Batch> batch, std::string why);
  static std::string result_text(const Decision& decision, std::int64_t revision);

  // commands_trial.cpp
  /// Where the network is after it was taken back.
  struct Landing {
    std::string where;                     ///< "revision 7", "the rescue state: ..."
    std::optional<netmodel::Model> model;  ///< Not the one that was asked for.
  };
  /// Leaves in the decision what became of it; nothing is stored yet but the begin and the undo.
  boost::asio::awaitable<void> try_out(std::shared_ptr<Batch> batch);
  boost::asio::awaitable<void> undo(Decision& decision);
  boost::asio::awaitable<void> begin_trial(std::shared_ptr<Batch> batch);
  /// Plans it against the kernel and the facts of now, and foretells by that.
  boost::asio::awaitable<TurnResult> foresee(Decision& decision);
  boost::asio::awaitable<void> judge(Decision& decision, TrialTerms terms);
  /// It was applied and does not stay. Pre: decision.before.
  boost::asio::awaitable<void> take_back(Decision& decision, std::vector<std::string> reasons);
  /// The kernel did not take it: refused, and taken back.
  boost::asio::awaitable<void> refuse_applied(Decision& decision, const netmodel::Model& before,
                                              std::vector<std::string> reasons,
                                              std::vector<std::string> known);
  /// Shows `before` again; if the kernel refuses, the next older good revision, at last the rescue
  /// state. `known` is trouble that was there before and counts for nothing.
  boost::asio::awaitable<Landing> go_back(netmodel::Model before, std::vector<std::string> known);
  struct Shown {
    std::vector<std::string> refused;  ///< What the kernel does not take, but for what is known.
    bool proven = false;               ///< A dump showed the model.
  };
  boost::asio::awaitable<Shown> shows(netmodel::Model model, const std::vector<std::string>& known);
  static std::string unproven(const Shown& shown);
  std::vector<std::string> unreached(const Decision& decision) const;
  TrialTerms terms_of(const Decision& decision, const netmodel::PortImpact& impact) const;
  boost::asio::awaitable<std::vector<std::string>> difference_to(std::int64_t revision);
  /// Nothing is left to reach the Console over, and nothing of it comes back by itself.
  static bool certainly_cuts(const Decision& decision, const TurnResult& planned);
  /// True: the daemon stops, or somebody has aborted it, which refuses it. Pre: nothing of it is in
  /// the kernel.
  bool called_off(Decision& decision);
  /// True: it does, nobody said "force", and it is refused.
  static bool refuse_certain_cut(Decision& decision, const TurnResult& planned);
  /// Why an action may not be done: there is no other path to go to. nullopt: it may.
  std::optional<std::string> cuts_all(const netmodel::HostAction& action) const;

  boost::asio::io_context& io_;
  store::StoreWorker& store_;
  EventLog& events_;
  Reconciler& reconciler_;
  Trials& trials_;
  Hooks hooks_;
  std::string boot_id_;
  std::int64_t revision_;
  std::int64_t highest_;          ///< Number ever given to a change.
  std::int64_t console_top_ = 0;  ///< The highest revision that the Console ever saw of this host.
  std::deque<store::RevisionSummary> newest_;
  std::deque<Item> queue_;
  /// In queue_ or running, by id: a re-sent command is not queued twice.
  std::map<std::string, store::Sha256> queued_;
  std::map<std::string, store::Sha256> arriving_;  ///< The journal is being asked about them.
  std::map<std::string, std::function<void(boost::json::object)>> local_;
  std::multimap<std::string, std::function<void(boost::json::object)>> waiters_;  ///< By id.
  std::string trying_;  ///< The command whose trial is under way, from its first look on.
  boost::asio::steady_timer retry_timer_;
  boost::asio::steady_timer disk_timer_;
  std::size_t singly_ = 0;  ///< Commands of a refused batch that still go one by one.
  bool running_ = false;
  bool under_way_ = false;  ///< What runs is begun on disk; its end is not stored.
  bool closing_ = false;    ///< wind_down() was called.
  bool stopped_ = false;
  std::function<void()> wound_down_;  ///< Called when nothing runs any more.
  bool resend_ = false;               ///< retry_timer_ runs.
  // Results that go out again in this session. What the tunnel took once it keeps until the
  // Console has it, so each is given to it once.
  bool behind_ = false;             ///< The journal is not through.
  std::int64_t sent_to_ = 0;        ///< Its place up to which it is.
  std::set<std::string> owed_;      ///< By id: what ended in this session and was not taken.
  bool reading_ = false;            ///< The store is asked for more of either.
  std::uint64_t resend_round_ = 0;  ///< An answer of the store to a former one is dropped.
  std::uint64_t executed_ = 0;
};

}  // namespace edge::uplink
