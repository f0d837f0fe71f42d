//! What the caller of a failed verb should do.

/// Prescriptive kind of an error. Each protocol maps each error onto its own codes in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request can never succeed as it is.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// The caller may not do it.
    Denied,
    /// Later, slower.
    Throttled,
    /// Later, or elsewhere.
    Unavailable,
    /// The state has moved on: look again.
    Conflict,
    /// Stored data is damaged.
    Data,
    /// A fault of ours.
    Internal,
}

/// An error that says what to do.
pub trait Kinded: std::error::Error {
    fn kind(&self) -> Kind;
}
