//! Child processes stand in groups of their own, so an interrupt of ours does not reach them: we pass it on.
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

pub(crate) fn remember(group: Pid) {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(group.as_raw_nonzero().get());
}

pub(crate) fn forget(group: Pid) {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&group.as_raw_nonzero().get());
}

/// From now on an interrupt or a termination ends every child, then us.
pub(crate) fn pass_on() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(first_signal());
        // Held to the end: no child is remembered after this.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        for group in running.iter().copied().filter_map(Pid::from_raw) {
            // A group that is already gone is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
        std::process::exit(130);
    });
    Ok(())
}

async fn first_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
