//! Cases that fail against the real Apache RocketMQ for a reason of its own, or of the client's own.
//! They are asked of Apogee all the same. Each is described in `e2e/README.md`.
use crate::ServerKind;

const OF_ROCKETMQ: [(&str, &str); 6] = [
    ("go-grpc", "restart-graceful"),
    ("go-grpc", "restart-kill"),
    ("python-grpc", "restart-graceful"),
    ("python-grpc", "restart-kill"),
    ("rust-grpc", "restart-graceful"),
    ("rust-grpc", "restart-kill"),
];

pub(crate) fn is_known(server: ServerKind, client: &str, case: &str) -> bool {
    server == ServerKind::Rocketmq && OF_ROCKETMQ.contains(&(client, case))
}
