//! Apache RocketMQ as its defaults have it, with heaps that fit a small machine.
use super::Peer;
use crate::oracle::{Heaps, Tuning};
use crate::server_under_test::ServerUnderTest;
use crate::versus::Options;
use crate::versus::record::Durability;

pub(super) const PEER: Peer = Peer {
    name: "rocketmq",
    title: "RocketMQ",
    prepare: |options, flush, folder| ServerUnderTest::rocketmq(tuning(flush, options), folder),
    program: |_| Ok(None),
};

fn tuning(flush: Durability, options: &Options) -> Tuning {
    let flush = match flush {
        Durability::Sync => "SYNC_FLUSH",
        Durability::Async => "ASYNC_FLUSH",
    };
    Tuning {
        access: None,
        java: &["-XX:+UseG1GC"],
        heaps: Heaps { namesrv: "256m", broker: "2g", proxy: "1g" },
        proxy: options.proxy,
        broker: format!("flushDiskType={flush}\n"),
    }
}
