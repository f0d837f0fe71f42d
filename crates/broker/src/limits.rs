//! Limits of the broker, each with its reason.

/// Index entries that one receive or fetch looks at before it answers or yields: bounds the work
/// of a call whose filter matches little.
pub const ENTRIES_PER_LOOK: usize = 512;
/// Looks of one fetch before it answers "none matched", so that a client of a selective filter
/// hears of its progress.
pub const LOOKS_PER_FETCH_MAX: usize = 16;
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
/// A delivery time further away is refused, as RocketMQ does (`timerMaxDelaySec`), and so is one
/// beyond the retention of the log: what waits is not kept longer than other messages yet.
pub const DELIVERY_DELAY_MS_MAX: i64 = 3 * 86_400_000;
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
/// Dead letters that one call of the admin operation sends again.
pub const DEAD_LETTERS_PER_CALL_MAX: usize = 1_000;
/// Delays in a group's list: clients get the list with their settings.
pub const RETRY_STEPS_MAX: usize = 128;
/// Longest delay before a retry, in milliseconds: a month.
pub const RETRY_DELAY_MS_MAX: i64 = 31 * 86_400_000;
