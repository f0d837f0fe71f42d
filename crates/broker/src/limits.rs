//! Limits of the broker, each with its reason.

/// Index entries that one receive or fetch looks at before it answers or yields: bounds the work
/// of a call whose filter matches little.
pub const ENTRIES_PER_LOOK: usize = 512;
/// Looks of one fetch before it answers "none matched", so that a client of a selective filter
/// hears of its progress.
pub const LOOKS_PER_FETCH_MAX: usize = 16;
/// Looks of one fetch after which it lets others of its thread go on between two: so far it looks at less than two
/// thousand entries.
pub const LOOKS_WITHOUT_A_PAUSE: usize = 4;
/// Offsets that an answer to a filtered fetch spans, or as many as messages were asked for: a 4.x consumer that
/// holds messages further apart than 2,000 (`consumeConcurrentlyMaxSpan`) pauses for 50 ms before it pulls again.
/// Two answers fit in; RocketMQ's span as much (`maxFilterMessageSize`).
pub const FILTERED_SPAN_MAX: u64 = 800;
/// Looks of one receive that finds nothing, though entries are left, before it answers so: the
/// client comes again at once.
pub const LOOKS_PER_RECEIVE_MAX: usize = 16;
/// Queues that one receive call takes messages from.
pub const QUEUES_PER_RECEIVE_MAX: usize = 256;
/// Bytes of one receive or fetch answer. Clients refuse frames over 16 MiB.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Keys of one message that are indexed.
pub const KEYS_PER_MESSAGE_MAX: usize = 32;
/// Different tags that the prefix of one batch names; a batch of more wakes every reader.
pub const TAGS_PER_BATCH_MAX: usize = 64;
/// Minutes in which something waits. Memory holds about 150 bytes of each, however much waits in
/// it: this is about 300 MB, for timers spread evenly over four years.
pub const DUE_MINUTES_MAX: usize = 2_000_000;
/// Timed messages and retries that one step writes again before their segment is deleted, so that
/// commands do not wait for long.
pub const MOVED_PER_STEP_MAX: usize = 1_024;
/// Bytes that one such step writes, about.
pub const MOVED_BYTES_PER_STEP_MAX: usize = 256 * 1024;
/// Records of one unique id that a recall looks at, newest first: more only come together where a
/// producer sends the same message again and again.
pub const RECALL_RECORDS_MAX: usize = 64;
/// How often a recall looks again because something with the same hash changed meanwhile.
pub const RECALL_TRIES_MAX: usize = 16;
/// Timers of one answer of `timer.list`.
pub const TIMERS_PER_PAGE_MAX: usize = 1_000;
/// Entries that one call of `timer.list` looks at.
pub const TIMER_LOOKS_MAX: usize = 8_192;
/// Wait of one receive or fetch call.
pub const WAIT_MS_MAX: i64 = 60_000;
/// Checks of transactions that wait to be told to producers. The next ones wait in the log.
pub const CHECKS_WAITING_MAX: usize = 4_096;
/// Producers that one check is offered to, if those before do not take it.
pub const PRODUCERS_ASKED_PER_CHECK_MAX: usize = 8;
/// Room that a half message's properties leave for what is added later (the number of checks).
pub const HALF_PROPERTIES_SPARE_BYTES: usize = 64;
/// In how many of a hundred receives the retries are looked at before the topic's own queues
/// (RocketMQ's `popFromRetryProbability`).
pub const RETRY_FIRST_PERCENT: u64 = 20;
/// Shortest time that the engine itself hides a message for (a release is an extension by little).
pub const EXTEND_MS_MIN: i64 = 0;
/// How often silent clients are looked for, in milliseconds (RocketMQ scans every 10 s).
pub const MEMBER_SCAN_MS: u64 = 10_000;
/// Lite topics with news that one receive looks at before it looks for more.
pub const LITE_LOOKS_PER_RECEIVE: usize = 64;
/// Lite topics that one request names: more than any client's quota should be.
pub const LITE_NAMES_PER_SYNC_MAX: usize = 100_000;
/// Names in one answer to a tool (RocketMQ's `MAX_RETURN_COUNT`).
pub const LITE_NAMES_PER_ANSWER_MAX: usize = 10_000;
/// Lite topics that are most behind, in one answer.
pub const LITE_TOP_MAX: u32 = 1_000;
/// After so long without a word a client wants no lite topics any more, in milliseconds: clients say
/// what they want every 30 s.
pub const LITE_CLIENT_SILENT_MS: i64 = 180_000;
/// How far from the end of the log a queue's first message may lie for new groups to start at it.
/// RocketMQ asks whether it lies in the last 40 % of the memory; this is that of a 10 GiB machine,
/// and does not depend on what is cached just now.
pub const YOUNG_QUEUE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Messages of one queue that a group may let wait behind blocked keys: what an ordered receiver
/// looks past to find a free key. Bounds a cursor's memory (some 40 bytes each) and its record.
pub const ORDERED_LOOK_AHEAD_MAX: usize = 4_096;
/// Entries that an ordered receiver reads at once while it looks for a free key.
pub const ENTRIES_PER_STEP: usize = 32;
/// How often a receive call chooses anew at once because its choice did not stand, before it waits.
pub const VOID_CHOICES_MAX: u32 = 8;
/// Changed cursors that are kept for the next checkpoint to write: it stops the group's thread for about
/// a microsecond each.
pub const CURSORS_KEPT_MAX: usize = 4_096;
/// Changed cursors beyond these that one command writes ahead of the checkpoint, at most.
pub const CURSORS_PER_COMMAND: usize = 64;
/// Dead letters that one call of the admin operation sends again.
pub const DEAD_LETTERS_PER_CALL_MAX: usize = 1_000;
/// Topics, and groups in topics, whose rates are kept: about a kilobyte each. What is not kept counts in
/// the node's totals (metric `rates_unkept`).
pub const RATED_MAX: usize = 10_000;
/// Rows of one answer of `rates.list`.
pub const RATES_PER_ANSWER_MAX: usize = 1_000;
/// Delays in a group's list: clients get the list with their settings.
pub const RETRY_STEPS_MAX: usize = 128;
/// Longest delay before a retry, in milliseconds: a month.
pub const RETRY_DELAY_MS_MAX: i64 = 31 * 86_400_000;
/// Groups in queues whose last pull is remembered: some 100 bytes each. Those beyond it show no reader in
/// health and metrics.
pub const PULLS_NOTED_MAX: usize = 200_000;
/// Troubles in one answer of `health.list`.
pub const HEALTH_ITEMS_MAX: usize = 1_000;
/// Troubles in one answer of `health.list`, where no limit is asked for.
pub const HEALTH_ITEMS_DEFAULT: usize = 100;
/// Looks that trends are made of, at most, however long the window is.
pub const HEALTH_LOOKS_MAX: usize = 32;
/// A look at everything takes at most one part in so many of a processor.
pub const HEALTH_PAUSE_PER_LOOK: u32 = 50;
/// Queues in which one look asks when the first waiting message was stored: that may read the disk.
pub const HEALTH_AGES_MAX: usize = 1_000;
/// Queues of one topic that are compared with each other.
pub const HEALTH_QUEUES_MAX: u32 = 1_024;
/// Queues of all topics that one look compares: 8 bytes each are kept for every look of the window. Those of
/// the topics with most messages; none of the others is told to be hot.
pub const HEALTH_QUEUES_COMPARED_MAX: u32 = 10_000;
/// Troubles that wait to be told to the webhook; the next ones are not told, and counted.
pub const ALERTS_WAITING_MAX: usize = 256;
/// Queues in which one reading of the metrics asks when a waiting message was stored: that may read the disk.
pub const METRIC_AGES_MAX: usize = 20_000;
/// Troubles whose scores are metrics: the riskiest.
pub const HEALTH_SCORES_MAX: usize = 50;
/// So far behind, a client's name is written into the log again when it is handed something: half a
/// segment, so that retention takes the name hardly before what points at it.
pub const CLIENT_NAMED_AGAIN_BYTES: u64 = 64 * 1024 * 1024;
/// Clients whose names' places are kept, about 150 bytes each; with more, all are named again.
pub const CLIENTS_NAMED_MAX: usize = 65_536;
/// Events that wait to be written, of some hundred bytes each; more are dropped and counted.
pub const EVENTS_WAITING_MAX: usize = 1_024;
/// How long events are gathered before they are written, in milliseconds.
pub const EVENT_GATHER_MS: u64 = 100;
/// Events of one write: with the time between, some hundred in a second at most.
pub const EVENTS_PER_WRITE_MAX: usize = 64;
/// The newest events, which operations and streams know: about 2 MB.
pub const EVENTS_KEPT_MAX: usize = 4_096;
/// Events of one answer of `event.list`.
pub const EVENT_PAGE_MAX: usize = 1_000;
/// Wait of one `event.list`, in milliseconds.
pub const EVENT_WAIT_MS_MAX: u64 = 30_000;
/// Calls that wait for events at a time.
pub const EVENT_WAITERS_MAX: usize = 256;
/// Messages of one answer of `message.trace`.
pub const TRACE_MESSAGES_MAX: usize = 64;
/// Of the log behind a message, what one `message.trace` looks through if the caller says nothing: some
/// tenths of a second.
pub const TRACE_LOOK_BYTES: u64 = 256 * 1024 * 1024;
/// The most that a caller can ask for.
pub const TRACE_LOOK_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Calls of `message.trace` at a time: each takes a core while it looks. Others wait.
pub const TRACES_AT_ONCE: usize = 2;
/// Steps of one message in an answer; what comes later is left out, and the answer is not complete.
pub const TRACE_STEPS_MAX: usize = 1_000;
/// Topics that are tried for a message id that comes without its topic.
pub const TRACE_TOPICS_TRIED_MAX: usize = 1_000;
/// Messages of the trace topic that are read for one `message.trace`.
pub const TRACE_CLIENT_MESSAGES_MAX: usize = 256;
/// Bytes of one body that a person is shown: more cannot be read, and a browser has to hold it.
pub const SHOWN_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the stored messages that one answer of `message.browse` reads.
pub const BROWSE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Looks at a queue of one `message.browse` whose tag matches little, before it answers with a next page.
pub const BROWSE_LOOKS_MAX: usize = 16;
/// Time between two points of `node.history`, in milliseconds.
pub const HISTORY_INTERVAL_MS: u64 = 5_000;
/// Points that are kept: an hour, about 60 KiB.
pub const HISTORY_POINTS_MAX: usize = 720;
/// Length of a profile, in seconds.
pub const PROFILE_SECONDS: u64 = 10;
/// The longest: whoever asks waits for it.
pub const PROFILE_SECONDS_MAX: u64 = 60;
