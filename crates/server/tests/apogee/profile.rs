//! What the node spends its processor time on, over HTTP: who may ask, one at a time, and what the answer has.

use serde_json::Value;

use crate::access::{ROOT, Rig};
use crate::node::post_as;

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_for_who_may_change_the_cluster_and_one_at_a_time() {
    let rig = Rig::start().await;
    let rest = rig.rest();
    let ask = |request: &'static str, caller| async move {
        post_as(rest, "/api/v1/node/profile", request, caller).await
    };
    assert!(ask("{}", None).await.starts_with("HTTP/1.1 401"));
    for (user, secret) in [("gina", "gina-secret"), ("alice", "alice-secret")] {
        assert!(ask("{}", Some((user, secret))).await.starts_with("HTTP/1.1 403"), "{user}");
    }
    for request in [r#"{"seconds":0}"#, r#"{"seconds":61}"#] {
        assert!(ask(request, Some(ROOT)).await.starts_with("HTTP/1.1 400"), "{request}");
    }
    let one = r#"{"seconds":1}"#;
    // The kernel decides, so it is asked here as well.
    if let Err(error) = perf_event::Builder::new(perf_event::events::Software::CPU_CLOCK).build() {
        let refused = ask(one, Some(ROOT)).await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("CAP_PERFMON"), "{error}: {refused}");
        assert!(refused.contains("perf_event_paranoid"), "{refused}");
        return rig.node.stop().await.expect("it stops in order");
    }
    let call_on = |()| async move {
        loop {
            let answer = post_as(rest, "/api/v1/operations/topic.list", "{}", Some(ROOT)).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    };
    let busy = [(); 4].map(call_on).map(tokio::spawn);
    let (first, second) = tokio::join!(ask(one, Some(ROOT)), ask(one, Some(ROOT)));
    let (taken, refused) = if first.starts_with("HTTP/1.1 200") { (first, second) } else { (second, first) };
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("one at a time"), "{refused}");
    // What it did meanwhile, by the names of its functions. On a machine that has much else to do, a second may be
    // little.
    let mut answers = vec![taken];
    while !answers.last().is_some_and(|answer| answer.contains("rest::")) && answers.len() < 20 {
        answers.push(ask(one, Some(ROOT)).await);
    }
    let answer = answers.pop().unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let profile: Value = serde_json::from_str(body).expect("JSON");
    assert!(profile["looks"].as_u64() > Some(0), "{profile:#}");
    assert!(profile["folded"].as_str().is_some_and(|text| text.contains("rest::")), "{profile:#}");
    assert!(ask(one, Some(ROOT)).await.starts_with("HTTP/1.1 200"), "the next one");
    for caller in busy {
        caller.abort();
    }
    rig.node.stop().await.expect("it stops in order");
}
