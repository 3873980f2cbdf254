//! CPython: where a running interpreter keeps the asyncio task, or the greenlet, that runs on a thread.
//!
//! | module | what it is |
//! |---|---|
//! | [`copies`] | where a function that copies contexts has the copy in a register |
//! | [`greenlets`] | greenlets, of a module of its own |
//! | [`layout`] | where structures keep what, by version |
//! | [`object`] | the interpreter's objects: texts, numbers, dictionaries, types |
//! | [`process`] | from the runtime's address to the running task |
//!
//! Nothing is taken on trust: a table of offsets is used only where the memory that it describes says so itself. The
//! interpreter must list a thread whose own memory points back at it, its modules must have the version that the table is for,
//! and asyncio's types the sizes that they have there.

pub mod copies;
pub mod greenlets;
pub mod layout;
pub mod object;
pub mod process;

pub use greenlets::Greenlets;
pub use process::{Asyncio, Contexts, Empty, Found, Jobs, Streams, find};

/// What exports the interpreter's state, in an executable or a library.
pub const RUNTIME: &str = "_PyRuntime";

/// What exports the function that copies the running context.
pub const COPY: &str = "PyContext_CopyCurrent";

#[cfg(test)]
mod tests;
