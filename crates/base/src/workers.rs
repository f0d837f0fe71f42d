//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection is one task, and stays on one thread: nothing is handed from thread to thread between a
//! request and its answer, no thread is woken to look for work that another one has. (One runtime of
//! four threads took a third more processor time for the same messages: decision 0013.)
//!
//! Connections stand together on as few threads as have time for them: a thread that is busy already
//! takes one more request for less than one that sleeps. Every now and then the [`Balance`] looks how
//! busy the threads were, moves connections away from one that has too much to do, and empties one that
//! is not needed.

mod balance;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::clock::{Clock, SystemClock};
use crate::net::{Connection, Home, Listener, Net, SystemNet};
use crate::spawn::{JoinThread, Spawn, SystemSpawn, Task};
use balance::{Balance, Load};

thread_local! {
    /// The worker whose thread this is.
    static HERE: Cell<Option<Home>> = const { Cell::new(None) };
}

/// Between two looks at how busy the threads are.
const LOOK: Duration = Duration::from_millis(200);

/// The threads. They end when this is dropped, and with them what still runs there.
pub struct Workers {
    inner: Arc<Inner>,
    /// Dropped to end the threads.
    running: Vec<oneshot::Sender<()>>,
    threads: Vec<Box<dyn JoinThread>>,
}

struct Inner {
    workers: Vec<Worker>,
    /// The worker for the next connection.
    next: AtomicUsize,
}

struct Worker {
    handle: Handle,
    places: Mutex<Vec<Weak<Place>>>,
    /// At the last look.
    processor_time: Mutex<Duration>,
}

/// Where a connection is, and where it is to be.
struct Place {
    wanted: AtomicUsize,
    /// Times that it was worked on since the last look.
    polls: AtomicU32,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({})", self.inner.workers.len())
    }
}

impl Workers {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// If the system gives no more threads or file descriptors.
    pub fn start(count: usize) -> io::Result<Self> {
        let (mut workers, mut running, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..count.max(1) {
            let runtime =
                Builder::new_current_thread().thread_name("apogee-blocking").enable_all().build()?;
            let handle = runtime.handle().clone();
            workers.push(Worker { handle, places: Mutex::default(), processor_time: Mutex::default() });
            let (stop, stopped) = oneshot::channel::<()>();
            running.push(stop);
            let serve = move || {
                HERE.set(Some(Home(at)));
                // It ends when the sender is dropped.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            };
            threads.push(SystemSpawn.thread("apogee-worker", Box::new(serve))?);
        }
        let inner = Arc::new(Inner { workers, next: AtomicUsize::new(0) });
        if let Some(first) = inner.workers.first() {
            first.handle.spawn(Arc::clone(&inner).balance());
        }
        Ok(Self { inner, running, threads })
    }

    /// The network, whose connections stand on these threads.
    #[must_use]
    pub fn net(&self) -> Arc<dyn Net> {
        Arc::new(WorkersNet(Arc::clone(&self.inner)))
    }

    /// Spawns on these threads.
    #[must_use]
    pub fn spawn(&self) -> Arc<dyn Spawn> {
        Arc::new(WorkersSpawn(Arc::clone(&self.inner)))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.running.clear();
        for thread in self.threads.drain(..) {
            thread.join();
        }
    }
}

impl Inner {
    fn worker(&self, index: usize) -> Option<&Worker> {
        self.workers.get(index % self.workers.len().max(1))
    }

    fn start(self: &Arc<Self>, at: usize, place: Arc<Place>, future: BoxFuture<'static, ()>) {
        let Some(worker) = self.worker(at) else { return };
        worker.places.lock().push(Arc::downgrade(&place));
        let workers = Arc::clone(self);
        worker.handle.spawn(Settled { at, place, workers, future: Some(future) });
    }

    async fn balance(self: Arc<Self>) {
        let mut balance = Balance::default();
        loop {
            SystemClock.sleep(LOOK).await;
            let looks = self.workers.iter().map(Worker::look);
            let (loads, places): (Vec<Load>, Vec<Vec<Arc<Place>>>) =
                futures::future::join_all(looks).await.into_iter().unzip();
            let plan = balance.plan(&loads);
            self.next.store(plan.next, Ordering::Relaxed);
            for to_move in plan.moves {
                let place = places.get(to_move.from).and_then(|places| places.get(to_move.connection));
                if let Some(place) = place {
                    place.wanted.store(to_move.to, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Worker {
    /// Who has no connections is not woken to be asked.
    async fn look(&self) -> (Load, Vec<Arc<Place>>) {
        let places: Vec<Arc<Place>> = {
            let mut places = self.places.lock();
            places.retain(|place| place.strong_count() > 0);
            places.iter().filter_map(Weak::upgrade).collect()
        };
        let polls = places.iter().map(|place| place.polls.swap(0, Ordering::Relaxed)).collect();
        let mut busy = 0.0;
        if !places.is_empty() {
            // It fails only where the runtime ends, and this with it.
            let now = self.handle.spawn(async { processor_time() }).await.unwrap_or_default();
            let before = std::mem::replace(&mut *self.processor_time.lock(), now);
            busy = now.saturating_sub(before).as_secs_f64() / LOOK.as_secs_f64();
        }
        (Load { busy, polls }, places)
    }
}

/// Of this thread, since it began. Not the time that it was awake: where other programs take the
/// processors, more threads do not help.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// A connection's work, at the thread where it stands.
struct Settled {
    at: usize,
    place: Arc<Place>,
    workers: Arc<Inner>,
    future: Option<BoxFuture<'static, ()>>,
}

impl Future for Settled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let wanted = self.place.wanted.load(Ordering::Relaxed);
        if wanted != self.at {
            // It goes on there.
            if let Some(future) = self.future.take() {
                self.workers.start(wanted, Arc::clone(&self.place), future);
            }
            return Poll::Ready(());
        }
        self.place.polls.fetch_add(1, Ordering::Relaxed);
        match &mut self.future {
            Some(future) => future.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

struct WorkersSpawn(Arc<Inner>);

impl Spawn for WorkersSpawn {
    /// What is not of a worker goes to the first, where the connections are too while there is little to do:
    /// the group's turns and their callers then need no waking across threads.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let _there =
            self.0.workers.first().filter(|_| HERE.get().is_none()).map(|first| first.handle.enter());
        SystemSpawn.spawn(name, future)
    }

    fn spawn_connection(&self, home: Home, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let place = Arc::new(Place { wanted: AtomicUsize::new(home.0), polls: AtomicU32::new(0) });
        self.0.start(home.0, place, future);
        Task::detached()
    }

    fn thread(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn JoinThread>> {
        SystemSpawn.thread(name, work)
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        SystemSpawn.blocking(work)
    }
}

struct WorkersNet(Arc<Inner>);

#[async_trait]
impl Net for WorkersNet {
    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(WorkersListener {
            listener: TcpListener::bind(address).await?,
            workers: Arc::clone(&self.0),
        }))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        SystemNet.connect(address).await
    }
}

struct WorkersListener {
    listener: TcpListener,
    workers: Arc<Inner>,
}

#[async_trait]
impl Listener for WorkersListener {
    async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        let (stream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let home = self.workers.next.load(Ordering::Relaxed);
        let Some(worker) = self.workers.worker(home) else { return Err(io::ErrorKind::NotFound.into()) };
        // Its thread waits for its bytes.
        let _there = worker.handle.enter();
        Ok(Box::new(AtHome { stream: Some(TcpStream::from_std(stream)?), home: Home(home) }))
    }

    fn local(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection whose thread waits for its bytes.
struct AtHome {
    /// Always there but for the moment of a move.
    stream: Option<TcpStream>,
    home: Home,
}

impl AtHome {
    /// The socket, brought along if the connection has moved: then nothing waits for it any more at the
    /// thread where it was, and all of the connection is polled here.
    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let Some(here) = HERE.get().filter(|here| *here != self.home)
            && let Some(stream) = self.stream.take()
        {
            self.stream = Some(TcpStream::from_std(stream.into_std()?)?);
            self.home = here;
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        self.stream.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Connection for AtHome {
    fn peer(&self) -> io::Result<SocketAddr> {
        self.stream()?.peer_addr()
    }

    fn local(&self) -> io::Result<SocketAddr> {
        self.stream()?.local_addr()
    }

    fn home(&self) -> Home {
        self.home
    }
}

impl AsyncRead for AtHome {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.here()?.poll_read(context, into)
    }
}

impl AsyncWrite for AtHome {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
