//! Freed memory that goes back to the system.
//!
//! The allocator gives back what it has kept for a second, but looks at that only while memory is freed. A node that
//! becomes idle after a burst would hold the rest for as long as it stays idle: 40 of 110 MiB were seen.

use std::time::Duration;

use base::Doors;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Until the runtime ends.
pub(crate) fn give_back_when_idle(doors: &Doors) {
    let clock = std::sync::Arc::clone(&doors.clock);
    let looks = async move {
        loop {
            clock.sleep(LOOK_EVERY).await;
            look();
        }
    };
    doors.spawn.spawn("memory-given-back", Box::pin(looks));
}

#[expect(unsafe_code, reason = "the allocator's functions have no safe form")]
fn look() {
    // SAFETY: takes no pointer, may be called on any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(false) }
}
