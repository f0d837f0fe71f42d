//! Log lines about clients, at a bounded rate: a storm of connections must not become one of lines.

use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use parking_lot::Mutex;

use crate::limits::CLIENT_LINES_PER_SECOND;

/// Says whether a line may be written now.
pub(crate) struct Chatter {
    clock: Arc<dyn Clock>,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    second: Duration,
    lines: u32,
    held_back: u32,
}

impl Chatter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, window: Mutex::default() }
    }

    /// Whether a line may be written. Tells how many were not, at the first that may again.
    pub(crate) fn may_speak(&self) -> bool {
        let now = self.clock.monotonic();
        let mut window = self.window.lock();
        if now.saturating_sub(window.second) >= Duration::from_secs(1) {
            let held_back = window.held_back;
            *window = Window { second: now, ..Window::default() };
            if held_back > 0 {
                tracing::info!(held_back, "more clients came and went than are told one by one");
            }
        }
        let may = window.lines < CLIENT_LINES_PER_SECOND;
        if may {
            window.lines += 1;
        } else {
            window.held_back += 1;
        }
        may
    }
}
