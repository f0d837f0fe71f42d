//! The conversation with the harness that started us.
use std::fmt::Debug;
use std::future::Future;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Why a case failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome = Result<(), Failure>;

/// Key and secret of whom a client signs as.
pub type Account = (String, String);

static NAMES: AtomicU32 = AtomicU32::new(1);
/// Held while a question waits for its answer: answers come in the order of the questions.
static ASKING: Mutex<()> = Mutex::new(());

/// Cases that run side by side; those that restart the server run alone, as their names say.
pub struct Cases {
    places: Arc<Semaphore>,
    playing: JoinSet<()>,
}

impl Cases {
    pub fn new() -> Self {
        let at_once = std::env::var("CASES_AT_ONCE").ok().and_then(|count| count.parse().ok());
        Self { places: Arc::new(Semaphore::new(at_once.unwrap_or(1))), playing: JoinSet::new() }
    }

    /// Plays a case that the filter lets through; it passes when it returns well.
    pub async fn play<Fut>(&mut self, name: &'static str, case: impl FnOnce() -> Fut + Send + 'static)
    where
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        if !is_wanted(name) {
            return;
        }
        if name.contains("restart") {
            self.end().await;
            play(name, case).await;
            return;
        }
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes it");
        self.playing.spawn(async move {
            play(name, case).await;
            drop(place);
        });
    }

    /// Waits for what is under way.
    pub async fn end(&mut self) {
        while self.playing.join_next().await.is_some() {}
    }
}

async fn play<Fut>(name: &str, case: impl FnOnce() -> Fut)
where
    Fut: Future<Output = Outcome> + Send + 'static,
{
    say(&format!("CASE {name}"));
    // A task of its own, so that a panic inside the client is a failure of this case alone.
    match tokio::spawn(case()).await {
        Ok(Ok(())) => say(&format!("PASS {name}")),
        Ok(Err(failure)) => say(&format!("FAIL {name} {}", one_line(&failure.to_string()))),
        Err(panic) => say(&format!("FAIL {name} {}", one_line(&panic.to_string()))),
    }
}

fn is_wanted(name: &str) -> bool {
    let filter = std::env::var("CASE_FILTER").unwrap_or_default();
    filter.is_empty() || filter.split(',').any(|word| name.contains(word))
}

/// The account that this program was given, where the server asks who calls. It may send and receive, but where the
/// name begins with `closed`.
pub fn own() -> Option<Account> {
    Some((std::env::var("ACCESS_KEY").ok()?, std::env::var("SECRET_KEY").ok()?))
}

/// A new topic of normal messages.
pub async fn topic(queues: u32) -> Result<String, Failure> {
    let name = unique("topic");
    operator(format!("topic {name} NORMAL {queues}")).await?;
    Ok(name)
}

/// A new group; options as the operator takes them.
pub async fn group(options: &str) -> Result<String, Failure> {
    let name = unique("group");
    operator(format!("group {name} {options}").trim().to_owned()).await?;
    Ok(name)
}

pub fn unique(word: &str) -> String {
    let run_id = std::env::var("RUN_ID").unwrap_or_default();
    format!("{word}-{run_id}-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

pub async fn operator(command: String) -> Outcome {
    ask(format!("OPERATOR {command}"), "OPERATED").await
}

/// Returns when the server is up again; how is graceful or kill.
pub async fn restart(how: &str) -> Outcome {
    ask(format!("RESTART {how}"), "RESTARTED").await
}

/// Waits for the answer on a thread that may block: senders and receivers go on meanwhile.
async fn ask(question: String, expected: &'static str) -> Outcome {
    tokio::task::spawn_blocking(move || {
        let _turn = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        say(&question);
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() == expected {
            Ok(())
        } else {
            Err(format!("{question} was answered: {answer}").into())
        }
    })
    .await?
}

pub fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the harness reads what we say");
}

pub fn expect(holds: bool, claim: impl Into<String>) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(claim.into().into())
    }
}

pub fn expect_equal<T: PartialEq + Debug>(what: &str, expected: T, actual: T) -> Outcome {
    expect(expected == actual, format!("{what}: expected {expected:?}, got {actual:?}"))
}

/// Bodies `word-0` to `word-(count-1)`.
pub fn bodies(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{word}-{number}")).collect()
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}
