//! One file per call: decode, verb, encode.

pub(crate) mod ack;
pub(crate) mod assignment;
pub(crate) mod change_invisible;
pub(crate) mod end_transaction;
pub(crate) mod forward;
pub(crate) mod heartbeat;
pub(crate) mod lite;
pub(crate) mod offsets;
pub(crate) mod pull;
pub(crate) mod recall;
pub(crate) mod receive;
pub(crate) mod route;
pub(crate) mod send;
pub(crate) mod termination;
