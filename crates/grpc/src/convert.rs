//! Between the wire's types and the model's.
//!
//! Facts: `GrpcConverter` and `SendMessageActivity` of RocketMQ 5.5.
//! Reading order: [`time`], [`names`], [`inbound`] (what producers send), [`outbound`] (what is handed out),
//! [`inflate`].

pub(crate) mod inbound;
pub(crate) mod inflate;
pub(crate) mod names;
pub(crate) mod outbound;
pub(crate) mod time;

#[cfg(test)]
mod tests;
