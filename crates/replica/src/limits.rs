//! Limits of a replica group.

/// Commands waiting for the group's thread. Beyond it callers are told to slow down:
/// a longer queue would only turn overload into latency.
pub const QUEUED_COMMANDS_MAX: usize = 65_536;
/// A frame is closed once it holds this many bytes, so that one write stays short.
pub const FRAME_BYTES_SOFT_MAX: usize = 4 * 1024 * 1024;
/// A frame is closed once it holds this many records; its header counts them in 16 bits.
pub const FRAME_RECORDS_SOFT_MAX: usize = 16_384;
/// Changes of the views that no checkpoint holds, before one is written whatever the log's length: some
/// 180 bytes of memory each where all are of different streams, and the work of a replay.
pub const CHECKPOINT_CHANGES_MAX: u64 = 256 * 1024;
/// The same, once nothing is written any more: then memory and a quick start are worth it sooner.
pub const CHECKPOINT_CHANGES_QUIET: u64 = 4 * 1024;
/// How long acknowledgements and their like wait for others, in milliseconds. Timers are up to 1 ms late, so it
/// is 2 at most.
pub const GATHER_MS: u64 = 1;
/// Others that must join in such a wait for the next one to be tried at once.
pub const GATHERED_MIN: usize = 4;
/// Turns at most that go without such a wait after waits that brought nothing.
pub const GATHERS_SKIPPED_MAX: u32 = 1_024;
/// Turns that begin at once before one again lets others run first, where that brought nothing.
pub const LOOK_EVERY: u32 = 16;
