//! Requests of one connection that are worked on, as streams of those that are finished.
//!
//! Sends, and ends of transactions, end in the order in which they began, but for those that need more than one turn
//! of the log. So they stand in a line, of which only the front is looked at: what ends behind it wakes nobody and
//! costs nothing until its turn comes. One that takes its time holds up those behind it only if [`FRONT`] of them do.
//! All other requests end as they will.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream};
use futures::{FutureExt, StreamExt};

use crate::frame::Command;

/// So many of those that stand in line are looked at.
const FRONT: usize = 4;

/// A request that is worked on.
pub(crate) struct Running {
    pub(crate) work: BoxFuture<'static, Option<Command>>,
    pub(crate) body_bytes: usize,
    pub(crate) held: bool,
}

impl Future for Running {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        let (body_bytes, held) = (self.body_bytes, self.held);
        self.work.as_mut().poll(context).map(|answer| Done { answer, body_bytes, held })
    }
}

/// A finished request.
pub(crate) struct Done {
    pub(crate) answer: Option<Command>,
    pub(crate) body_bytes: usize,
    pub(crate) held: bool,
}

#[derive(Default)]
pub(crate) struct UnderWay {
    in_turn: VecDeque<Running>,
    others: FuturesUnordered<Running>,
    /// Some of the others have not begun.
    has_new: bool,
}

impl UnderWay {
    pub(crate) fn len(&self) -> usize {
        self.in_turn.len() + self.others.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_turn.is_empty() && self.others.is_empty()
    }

    /// Begins a request while its bytes are at hand; answers it if it ends at once.
    pub(crate) fn in_turn(&mut self, mut request: Running) -> Option<Done> {
        // Whoever waits for the next to end looks at the front again.
        match request.poll_unpin(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => {
                self.in_turn.push_back(request);
                None
            }
        }
    }

    /// Adds another request, which begins when the next to end is waited for.
    pub(crate) fn other(&mut self, request: Running) {
        self.has_new = true;
        self.others.push(request);
    }

    /// Whether some have not begun, because nobody has waited since they came.
    pub(crate) const fn has_new(&self) -> bool {
        self.has_new
    }
}

/// Those that are finished.
impl Stream for UnderWay {
    type Item = Done;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Done>> {
        for place in 0..FRONT {
            let Some(request) = self.in_turn.get_mut(place) else { break };
            if let Poll::Ready(done) = request.poll_unpin(context) {
                self.in_turn.remove(place);
                return Poll::Ready(Some(done));
            }
        }
        let next = self.others.poll_next_unpin(context);
        if let Poll::Ready(Some(_)) = next {
            return next;
        }
        self.has_new = false;
        if self.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::oneshot;

    use super::*;
    use crate::frame::Command;

    fn request(number: i32) -> (oneshot::Sender<()>, Running) {
        let (end, ended) = oneshot::channel::<()>();
        let answer = move |_| Some(Command { opaque: number, ..Command::response(0) });
        (end, Running { work: ended.map(answer).boxed(), body_bytes: 1, held: false })
    }

    fn finished(under_way: &mut UnderWay) -> Vec<i32> {
        let next = || under_way.next().now_or_never().flatten().and_then(|done| done.answer);
        std::iter::from_fn(next).map(|answer| answer.opaque).collect()
    }

    #[test]
    fn sends_end_in_their_order_and_a_slow_one_lets_others_pass() {
        let mut under_way = UnderWay::default();
        let mut ends = Vec::new();
        for number in 0..8 {
            let (end, send) = request(number);
            assert!(under_way.in_turn(send).is_none());
            ends.push(Some(end));
        }
        let mut end = |number: usize| ends[number].take().expect("ended once").send(()).expect("waited for");
        assert!(finished(&mut under_way).is_empty());
        end(3);
        end(1);
        assert_eq!(finished(&mut under_way), [1, 3]);
        (4..8).for_each(&mut end);
        assert_eq!(finished(&mut under_way), [4, 5, 6, 7]);
        end(0);
        assert_eq!(finished(&mut under_way), [0]);
        assert_eq!(under_way.len(), 1);
    }

    #[test]
    fn other_requests_end_as_they_will() {
        let mut under_way = UnderWay::default();
        let (end_send, send) = request(0);
        assert!(under_way.in_turn(send).is_none());
        let (_first, request_1) = request(1);
        let (end_2, request_2) = request(2);
        under_way.other(request_1);
        under_way.other(request_2);
        assert!(under_way.has_new());
        assert!(finished(&mut under_way).is_empty());
        assert!(!under_way.has_new());
        end_2.send(()).expect("waited for");
        end_send.send(()).expect("waited for");
        assert_eq!(finished(&mut under_way), [0, 2]);
        assert_eq!(under_way.len(), 1);
    }

    #[test]
    fn what_ends_at_once_is_not_kept() {
        let mut under_way = UnderWay::default();
        let (end, send) = request(7);
        end.send(()).expect("waited for");
        assert_eq!(under_way.in_turn(send).and_then(|done| done.answer).map(|answer| answer.opaque), Some(7));
        assert!(under_way.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_front() {
        let mut under_way = UnderWay::default();
        let (end, send) = request(0);
        assert!(under_way.in_turn(send).is_none());
        let ends = async {
            tokio::task::yield_now().await;
            end.send(()).expect("waited for");
        };
        let (done, ()) = tokio::join!(under_way.next(), ends);
        assert_eq!(done.and_then(|done| done.answer).map(|answer| answer.opaque), Some(0));
    }
}
