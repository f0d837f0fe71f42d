//! The 5.x gRPC client for Rust, in cleartext. It has a producer and a simple consumer, and no more.
mod cases;
mod clients;
mod kit;
mod restarting;

#[tokio::main]
async fn main() {
    // The client writes its log to a folder of this name, and does not make it.
    std::fs::create_dir_all("logs").expect("the current folder can be written to");
    kit::play("send-sync", cases::send_sync).await;
    kit::play("send-batch", cases::send_batch).await;
    kit::play("send-large-body", cases::send_large_body).await;
    kit::play("round-trip", cases::round_trip).await;
    kit::play("simple-consume", cases::simple_consume).await;
    kit::play("tag-filter", cases::tag_filter).await;
    kit::play("retry-simple", cases::retry_simple).await;
    kit::play("dead-letter", cases::dead_letter).await;
    kit::play("long-poll", cases::long_poll).await;
    kit::play("share-group", cases::share_group).await;
    kit::play("join-leave", cases::join_leave).await;
    kit::play("two-groups", cases::two_groups).await;
    kit::play("restart-graceful", restarting::graceful).await;
    kit::play("restart-kill", restarting::kill).await;
    kit::say("DONE");
    // Clients leave tasks behind.
    std::process::exit(0);
}
