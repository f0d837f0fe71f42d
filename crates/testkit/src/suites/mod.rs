//! What every implementation of a door must pass: one line of macro per implementation.

pub mod disk;
