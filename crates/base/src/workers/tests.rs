use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A connection that is moved while it is used loses nothing, and works elsewhere afterwards.
#[test]
fn a_connection_goes_on_at_another_thread() {
    let workers = Workers::start(2).expect("threads");
    let (net, spawn) = (workers.net(), workers.spawn());
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("listens");
        let mut client = net.connect(listener.local().expect("bound")).await.expect("connects");
        let mut accepted = listener.accept().await.expect("accepts");
        let home = accepted.home();
        let (ask, mut asked) = tokio::sync::mpsc::channel(1);
        let echo = async move {
            let mut byte = [0];
            while accepted.read_exact(&mut byte).await.is_ok() {
                ask.send(std::thread::current().id()).await.expect("the test listens");
                accepted.write_all(&byte).await.expect("the client listens");
            }
        };
        spawn.spawn_connection(home, "echo", Box::pin(echo));
        let mut ask = async |n: u8| {
            client.write_all(&[n]).await.expect("sends");
            let mut back = [0];
            client.read_exact(&mut back).await.expect("the echo");
            assert_eq!(back, [n]);
            asked.recv().await.expect("a thread")
        };
        let first = ask(0).await;
        for n in 0..5 {
            assert_eq!(ask(n).await, first);
        }
        let place = {
            let places = workers.inner.workers[home.0].places.lock();
            places.first().and_then(Weak::upgrade).expect("it stands there")
        };
        place.wanted.store(1 - home.0, Ordering::Relaxed);
        // It goes when it is polled anew, which need not be for the next byte.
        let mut last = first;
        for n in 0..u8::MAX {
            last = ask(n).await;
            if last != first {
                break;
            }
        }
        assert_ne!(last, first);
        for n in 0..5 {
            assert_eq!(ask(n).await, last);
        }
    });
}
