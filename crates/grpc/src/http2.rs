//! HTTP/2 as a server of gRPC needs it (RFC 9113): a pure machine, bytes in, events and bytes out.
//!
//! ```text
//! bytes -> frame -> session (streams, windows) -> events: a request, its data, its end
//!            hpack -^              |
//! bytes <------------------------- answers: head, data, trailers, as windows allow
//! ```
//! It stands apart because the calls of this protocol are small and many: nothing is allocated or
//! locked for a frame, headers that do not matter are not built, and all answers of a turn leave
//! in one write. What it does not do, because no client of gRPC asks for it: push, priorities,
//! upgrades from HTTP/1.1. Reading order: `session`, `stream`, `frame`, `hpack`, `huffman`.

pub(crate) mod frame;
pub(crate) mod hpack;
mod huffman;
pub(crate) mod session;
mod stream;
#[cfg(test)]
mod tests;

/// A mistake of the client that ends the connection: the number that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) u32);

/// Numbers of mistakes, as the standard has them.
impl Fault {
    pub(crate) const NONE: Self = Self(0x0);
    pub(crate) const PROTOCOL: Self = Self(0x1);
    pub(crate) const FLOW_CONTROL: Self = Self(0x3);
    pub(crate) const CLOSED: Self = Self(0x5);
    pub(crate) const FRAME_SIZE: Self = Self(0x6);
    pub(crate) const REFUSED: Self = Self(0x7);
    pub(crate) const COMPRESSION: Self = Self(0x9);
    pub(crate) const CALM: Self = Self(0xB);
}
