//! The verbs over a real store in a temporary folder; each module has a part of them.
#![expect(clippy::disallowed_methods, reason = "tests run on the real runtime")]

mod access;
mod bench;
mod browse;
mod filters;
mod health;
mod kinds;
mod lite;
mod order;
mod plain;
mod quotas;
mod rates;
mod timers;
mod traces;
mod transactions;
