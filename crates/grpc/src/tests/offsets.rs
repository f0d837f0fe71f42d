//! Pulling, and progress that the client keeps.

use futures::StreamExt as _;
use model::verbs::{FetchOutcome, Fetched, OffsetAnswer};
use model::{Lsn, Offset};

use super::fake::stored;
use super::kit::*;
use crate::proto::pull_message_response::Content;
use crate::proto::*;

fn fetched(outcome: FetchOutcome, next: u64) -> Fetched {
    let messages = match outcome {
        FetchOutcome::Found => vec![stored("t", Lsn(9), "")],
        _ => Vec::new(),
    };
    Fetched { outcome, messages, next: Offset(next), min: Offset(0), max: Offset(9) }
}

async fn pull(client: &mut Client, offset: i64) -> Vec<Content> {
    let request = PullMessageRequest {
        group: resource("g"),
        message_queue: queue("t", 1),
        offset,
        batch_size: 10,
        ..PullMessageRequest::default()
    };
    let stream = client.pull_message(from_client("a", request)).await.expect("answered").into_inner();
    stream.map(|item| item.expect("good").content.expect("set")).collect().await
}

#[tokio::test]
async fn a_pull_ends_with_where_to_go_on() {
    let server = Running::start().await;
    let mut client = server.client().await;
    server.engine.fetches.lock().push_back(Ok(fetched(FetchOutcome::Found, 6)));
    let contents = pull(&mut client, 5).await;
    let [Content::Status(status), Content::Message(message), Content::NextOffset(6)] = &contents[..] else {
        panic!("{contents:?}")
    };
    assert_eq!((status.code, &message.body[..]), (20000, &b"hello"[..]));
    let cases =
        [(FetchOutcome::AtEnd, 40401), (FetchOutcome::NoneMatched, 40401), (FetchOutcome::OutOfRange, 40019)];
    for (outcome, code) in cases {
        server.engine.fetches.lock().push_back(Ok(fetched(outcome, 9)));
        let contents = pull(&mut client, 5).await;
        let [Content::Status(status), Content::NextOffset(9)] = &contents[..] else { panic!("{contents:?}") };
        assert_eq!(status.code, code);
    }
    let contents = pull(&mut client, -1).await;
    let [Content::Status(status), Content::NextOffset(-1)] = &contents[..] else { panic!("{contents:?}") };
    assert_eq!(status.code, 40019);
}

#[tokio::test]
async fn offsets_are_kept_and_asked_for() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let update = UpdateOffsetRequest { group: resource("g"), message_queue: queue("t", 1), offset: 7 };
    let response = client.update_offset(from_client("a", update)).await.expect("answered").into_inner();
    assert_eq!(response.status.expect("set").code, 20000);
    assert_eq!(server.engine.committed.lock()[0].offset, Offset(7));

    let mut get = async || {
        let request = GetOffsetRequest { group: resource("g"), message_queue: queue("t", 1) };
        let response = client.get_offset(from_client("a", request)).await.expect("answered").into_inner();
        (response.status.expect("set").code, response.offset)
    };
    server.engine.answers.lock().push_back(OffsetAnswer::Offset(Offset(7)));
    assert_eq!(get().await, (20000, 7));
    server.engine.answers.lock().push_back(OffsetAnswer::None { start_at_zero: true });
    assert_eq!(get().await, (40404, 0));
}

#[tokio::test]
async fn offsets_are_found_by_place_or_time() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let mut query = async |id: i32, policy: QueryOffsetPolicy| {
        let request = QueryOffsetRequest {
            message_queue: queue("t", id),
            query_offset_policy: policy.into(),
            timestamp: None,
        };
        let response = client.query_offset(from_client("a", request)).await.expect("answered").into_inner();
        (response.status.expect("set").code, response.offset)
    };
    server.engine.answers.lock().push_back(OffsetAnswer::Offset(Offset(3)));
    assert_eq!(query(0, QueryOffsetPolicy::End).await, (20000, 3));
    assert_eq!(query(0, QueryOffsetPolicy::Timestamp).await, (40000, 0), "which time?");
    assert_eq!(query(-1, QueryOffsetPolicy::Beginning).await, (40000, 0), "which queue?");
}
