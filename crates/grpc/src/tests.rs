//! The protocol over a real client and a loopback socket, against an engine that plays along.

mod fake;
mod kit;
mod offsets;
mod presence;
mod receiving;
mod reports;
mod routing;
mod sending;
mod streams;
mod transport;
