//! Limits of filters, each with its reason. An expression comes from a client: nothing about it may
//! grow without bound.

/// Length of an expression in bytes: room for an `IN` of a thousand names, too little to hurt.
pub const EXPRESSION_BYTES_MAX: usize = 32 * 1024;
/// Nesting, of brackets and of what they build: parser and evaluation recurse this deep at most,
/// which fits the smallest stack that we run on in a debug build.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// Different properties that one expression names: each costs a place per message evaluated.
pub const PROPERTIES_PER_EXPRESSION_MAX: usize = 256;
/// Tags that one tag filter names: they are compared one by one.
pub const TAGS_PER_FILTER_MAX: usize = 1_024;
/// Compiled filters that are remembered, in each of two generations.
pub const CACHED_SELECTORS_MAX: usize = 1_024;
