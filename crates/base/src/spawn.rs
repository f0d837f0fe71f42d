//! The door to tasks and threads.
#![expect(clippy::disallowed_methods, reason = "this is the door to tasks and threads")]

use std::io;

use futures::future::BoxFuture;

use crate::net::Home;

/// Starts concurrent work.
pub trait Spawn: Send + Sync + 'static {
    /// Runs a future on the runtime. Dropping the returned [`Task`] does not stop it.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task;
    /// Runs a connection's future to its end, at its home at first. It cannot be stopped from outside.
    fn spawn_connection(&self, _home: Home, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        self.spawn(name, future)
    }
    /// Runs a closure on a thread of its own, for work that lives long.
    fn thread(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn JoinThread>>;
    /// Runs a closure that blocks for a short time (a cold read) on a bounded pool.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
}

/// Waits for a thread's end.
pub trait JoinThread: Send {
    /// Returns `false` if the thread panicked.
    fn join(self: Box<Self>) -> bool;
}

/// A running future.
#[derive(Debug)]
pub struct Task(Option<tokio::task::AbortHandle>);

impl Task {
    /// A task that cannot be stopped from outside.
    #[must_use]
    pub fn detached() -> Self {
        Self(None)
    }

    /// Stops the future at its next await point.
    pub fn abort(&self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// The tokio runtime that the caller runs in, and the machine's threads.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemSpawn;

struct SystemThread(std::thread::JoinHandle<()>);

impl JoinThread for SystemThread {
    fn join(self: Box<Self>) -> bool {
        self.0.join().is_ok()
    }
}

impl Spawn for SystemSpawn {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        Task(Some(tokio::spawn(future).abort_handle()))
    }

    fn thread(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn JoinThread>> {
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Box::new(SystemThread(handle)))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let handle = tokio::task::spawn_blocking(work);
        Box::pin(async move {
            if let Err(error) = handle.await {
                tracing::error!(%error, "blocking work failed");
            }
        })
    }
}
