//! JSON schemas of what stands beside the catalogue: sending, receiving, acknowledging, problems.

use model::admin::schema::{of_request, of_response};
use serde_json::{Value, json};

use crate::consume::{AckRequest, AckResponse, ReceiveRequest, ReceiveResponse};
use crate::error::Problem;
use crate::message::MessageIn;
use crate::send::{SendRequest, SendResponse};

/// Request and response of sending: one message, or several.
pub(crate) fn of_send() -> (Value, Value) {
    let either = [of_request::<MessageIn>(), of_request::<SendRequest>()];
    (json!({ "anyOf": either }), of_response::<SendResponse>())
}

/// Request and response of receiving.
pub(crate) fn of_receive() -> (Value, Value) {
    (of_request::<ReceiveRequest>(), of_response::<ReceiveResponse>())
}

/// Request and response of acknowledging.
pub(crate) fn of_ack() -> (Value, Value) {
    (of_request::<AckRequest>(), of_response::<AckResponse>())
}

/// What a failed request is answered with.
pub(crate) fn of_problem() -> Value {
    of_response::<Problem>()
}
