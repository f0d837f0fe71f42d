//! All limits of the store, each with its reason.

use std::time::Duration;

/// A frame larger than this is refused at append and taken for garbage by every decoder, so that
/// a damaged length cannot make a reader allocate without bound.
pub const FRAME_BYTES_MAX: usize = 128 * 1024 * 1024;
/// From here on a frame counts as full: larger ones gain nothing and delay their first record.
pub const FRAME_BYTES_FULL: usize = 8 * 1024 * 1024;
/// A larger buffer is not kept for the next frame: what one burst needed is not held for ever.
pub const FRAME_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Records of one frame: the header counts them in 16 bits.
pub const FRAME_RECORDS_MAX: usize = u16::MAX as usize;
/// Bytes read at once by recovery, replay and verification.
pub const SCAN_BYTES: usize = 1024 * 1024;
/// A background file is made durable piece by piece while it is written: a flush of the log that falls
/// into the flush of a whole file would wait for all of it.
pub const SYNC_STEP_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a replay per stream in the run files from which on it learns the ends of all streams before
/// it begins: below, it meets too few of them.
pub const LEARN_REPLAY_BYTES_PER_STREAM: u64 = 8;
/// Old records are read in blocks of this size: a queue's next messages stand near each other, and
/// other queues' in between.
pub const COLD_BLOCK_BYTES: usize = 64 * 1024;
/// Blocks that are kept for the next reader take no more than this, nor than half of the room for cold
/// reads.
pub const COLD_BLOCKS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a cold read has brought is given up for others after this time if its reader has not come for it.
pub const UNTAKEN_READ_MS: u64 = 10;
/// Segment files kept open for reading at once; the rest are opened on demand.
pub const OPEN_SEGMENTS_MAX: usize = 128;
/// Trimmed segments kept for reuse: one to roll into, one in reserve for a full disk.
pub const SPARE_SEGMENTS_MAX: usize = 2;
/// The next segment is prepared once this much was appended since the log was opened: who writes less does not
/// need it.
pub const PREPARE_AFTER_BYTES: u64 = 128 * 1024;
/// Least length of a prepared segment (the most is `segment_bytes`): each begins with a sync of the folder.
pub const PREPARE_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// After each step of a preparation its thread waits as long as the step took, at most this.
pub const PREPARE_PAUSE_MAX: Duration = Duration::from_millis(20);
/// No segment is prepared unless the disk has room for so many.
pub const PREPARE_ROOM_SEGMENTS: u64 = 4;
/// Directory blocks of a run file that are kept decoded (about 14 KiB each).
pub const RECENT_BLOCKS_PER_RUN_MAX: usize = 16;
/// Streams of which the rest of a chunk is kept after a read (12 KiB each).
pub const READ_AHEAD_STREAMS_MAX: usize = 64;
/// A merge reads the chunks of a directory block in one piece up to this size; larger ones are
/// worth a read each.
pub const READ_AHEAD_BYTES: u64 = 256 * 1024;
/// Entries of one chunk of a run: the unit that a reader reads and verifies (7 KiB).
pub const CHUNK_ENTRIES_MAX: usize = 256;
/// A directory, object or key block is closed when it has grown to this size.
pub const BLOCK_BYTES: usize = 4096;
/// Largest key of an object.
pub const OBJECT_KEY_BYTES_MAX: usize = 64 * 1024;
/// Largest value of an object; a half message is kept as one.
pub const OBJECT_VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Locks over the live streams: readers of one rarely meet the owner writing in another.
pub const SHARDS: usize = 64;
/// Runs of one level that are merged into one of the next: four keeps both the number of files
/// that a read visits and the number of times that an entry is rewritten small.
pub const MERGE_WIDTH: usize = 4;
/// Key files of one level that are merged into one of the next, and the level where that stops:
/// a key file then covers about a gigabyte of log and still dies soon after its segments.
pub const KEY_LEVEL_MAX: u8 = 2;
/// Files named by one manifest; more mean a damaged count.
pub const MANIFEST_ITEMS_MAX: usize = 1 << 20;
/// Problems that one verification lists; a damaged disk would otherwise fill the memory.
pub const VERIFY_PROBLEMS_MAX: usize = 1000;
