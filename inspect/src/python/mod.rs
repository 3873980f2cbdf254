//! CPython: where a running interpreter keeps the asyncio task that runs on a thread.
//!
//! | module | what it is |
//! |---|---|
//! | [`layout`] | where structures keep what, by version |
//! | [`object`] | the interpreter's objects: texts, numbers, dictionaries, types |
//! | [`place`] | where its functions are probed |
//! | [`process`] | from the runtime's address to the running task |
//!
//! Nothing is taken on trust: a table of offsets is used only where the memory that it describes says so itself. The
//! interpreter must list a thread whose own memory points back at it, its modules must have the version that the table is for,
//! and asyncio's types the sizes that they have there.

pub mod layout;
pub mod object;
pub mod place;
pub mod process;

pub use process::{Asyncio, Found, find};

/// What exports the interpreter's state, in an executable or a library.
pub const RUNTIME: &str = "_PyRuntime";

#[cfg(test)]
mod tests;
