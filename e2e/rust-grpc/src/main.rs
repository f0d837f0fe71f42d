//! The 5.x gRPC client for Rust, in cleartext. It has a producer and a simple consumer, and no more.
mod cases;
mod clients;
mod kit;
mod ordering;
mod refused;
mod restarting;
mod timing;
mod transactions;

#[tokio::main]
async fn main() {
    // The client writes its log to a folder of this name, and does not make it.
    std::fs::create_dir_all("logs").expect("the current folder can be written to");
    let mut cases = kit::Cases::new();
    cases.play("send-sync", cases::send_sync).await;
    cases.play("send-batch", cases::send_batch).await;
    cases.play("send-large-body", cases::send_large_body).await;
    cases.play("round-trip", cases::round_trip).await;
    cases.play("simple-consume", cases::simple_consume).await;
    cases.play("tag-filter", cases::tag_filter).await;
    cases.play("retry-simple", cases::retry_simple).await;
    cases.play("dead-letter", cases::dead_letter).await;
    cases.play("long-poll", cases::long_poll).await;
    cases.play("share-group", cases::share_group).await;
    cases.play("join-leave", cases::join_leave).await;
    cases.play("two-groups", cases::two_groups).await;
    cases.play("fifo-simple", ordering::simple).await;
    cases.play("tx-commit-rollback", transactions::commit_and_rollback).await;
    cases.play("tx-check", transactions::check).await;
    cases.play("timed-deliver", timing::deliver).await;
    if kit::own().is_some() {
        cases.play("refused-send", refused::send).await;
        cases.play("refused-topic", refused::topic).await;
    }
    cases.play("restart-graceful", restarting::graceful).await;
    cases.play("restart-kill", restarting::kill).await;
    cases.end().await;
    kit::say("DONE");
    // Clients leave tasks behind.
    std::process::exit(0);
}
