//! Requests whose subject this engine does not have, or does by itself.

use crate::code::{request as code, response};
use crate::error::Failure;
use crate::handlers::{Answer, done};

/// Why a request of this code has nothing to do here.
const fn reason(request: i32) -> Option<&'static str> {
    Some(match request {
        code::UPDATE_AND_CREATE_STATIC_TOPIC => "queues are not mapped between brokers",
        code::ADD_BROKER | code::REMOVE_BROKER => "a process is one broker, not a container of several",
        code::RESET_MASTER_FLUSH_OFFSET => "the position that is safe follows the log and is not set by hand",
        code::CONTROLLER_ELECT_MASTER
        | code::CONTROLLER_GET_METADATA_INFO
        | code::CONTROLLER_GET_SYNC_STATE_DATA
        | code::GET_BROKER_EPOCH_CACHE
        | code::UPDATE_CONTROLLER_CONFIG
        | code::GET_CONTROLLER_CONFIG
        | code::CLEAN_BROKER_DATA => "there is no separate controller",
        code::UPDATE_COLD_DATA_FLOW_CTR_CONFIG
        | code::REMOVE_COLD_DATA_FLOW_CTR_CONFIG
        | code::GET_COLD_DATA_FLOW_CTR_INFO => {
            "cold reads have a bounded pool of their own, and need no flow control by group"
        }
        code::SET_COMMITLOG_READ_MODE => "how the log is read ahead is not set by hand",
        code::CHECK_ROCKSDB_CQ_WRITE_PROGRESS | code::EXPORT_ROCKSDB_CONFIG_TO_JSON => "there is no RocksDB",
        code::SWITCH_TIMER_ENGINE => "there is one timer engine",
        code::POP_ROLLBACK => "what was handed out is recorded in the log and is not kept twice",
        _ => return None,
    })
}

/// Refuses what has no subject here, with the reason.
pub(super) fn refuse(request: i32) -> Answer {
    let remark = reason(request).map_or_else(
        || format!("request type {request} not supported"),
        |reason| format!("request type {request} not applicable here: {reason}"),
    );
    Err(Failure::new(response::REQUEST_CODE_NOT_SUPPORTED, remark))
}

/// `CLEAN_EXPIRED_CONSUMEQUEUE`, `CLEAN_UNUSED_TOPIC`, `DELETE_EXPIRED_COMMITLOG`: entries and segments
/// go by themselves, within a second of when they may.
pub(super) fn clean() -> Answer {
    Ok(done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_says_why() {
        let remark = |request| refuse(request).expect_err("refused").remark;
        assert_eq!(
            remark(code::SWITCH_TIMER_ENGINE),
            "request type 5001 not applicable here: there is one timer engine"
        );
        assert_eq!(remark(9_999), "request type 9999 not supported");
    }
}
