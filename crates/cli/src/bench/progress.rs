//! A bar for whoever watches.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use base::Task;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Mode, Run};

pub(crate) struct Progress {
    bar: ProgressBar,
    task: Option<Task>,
}

/// Shows how far the run is, if somebody watches.
pub(crate) fn show(run: &Arc<Run>) -> Progress {
    if !std::io::stderr().is_terminal() {
        return Progress { bar: ProgressBar::hidden(), task: None };
    }
    let total = match (run.pace.count(), run.pace.duration()) {
        (Some(count), _) => Some(count),
        (None, Some(duration)) => u64::try_from(duration.as_millis()).ok(),
        (None, None) => None,
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = if total.is_some() { "{bar:30} {percent}% {msg}" } else { "{spinner} {msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let work = watch(Arc::clone(run), bar.clone());
    let task = run.doors.spawn.spawn("progress", Box::pin(work));
    Progress { bar, task: Some(task) }
}

async fn watch(run: Arc<Run>, bar: ProgressBar) {
    let mut before = 0;
    let step = Duration::from_millis(200);
    loop {
        run.doors.clock.sleep(step).await;
        let (sent, received, errors) = run.tally.counts();
        let done = if run.args.mode == Mode::Send { sent } else { received };
        let place = match run.pace.count() {
            Some(_) => done,
            None => u64::try_from(run.pace.elapsed().as_millis()).unwrap_or_default(),
        };
        bar.set_position(place);
        let failed = if errors > 0 { format!(", {errors} failed") } else { String::new() };
        bar.set_message(format!("{done} messages, {}/s{failed}", (done - before.min(done)) * 5));
        before = done;
    }
}

impl Progress {
    pub(crate) fn finish(self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.bar.finish_and_clear();
    }
}
