//! What the agent gives up once it traces: privileges that it needs no more, and system calls that it never makes.
//!
//! | module | what it is |
//! |---|---|
//! | `capabilities` | what it may do, in every thread |
//! | `filter` | which system calls the kernel refuses it |
//!
//! It reads bytes that strangers choose. Should one of them ever make it do something else, that something has neither
//! root's privileges nor a way to start a program, trace another, mount, or load into the kernel.
//! `docs/decisions/025-sandbox.md` says what is kept, and why.

mod capabilities;
mod filter;

/// Why it is not all given up. Tracing goes on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Privileges are left.
    #[error("privileges could not be given up ({0})")]
    Capabilities(std::io::Error),
    /// The kernel takes no filter.
    #[error("the kernel takes no filter of system calls ({0})")]
    Filter(String),
}

/// Gives up what is not needed from here on, in every thread and for ever. Whoever starts programs afterwards must not
/// call this.
///
/// # Errors
/// Everything that could not be given up.
pub fn enter() -> Result<(), Vec<SandboxError>> {
    // The filter comes last: it would refuse what giving up privileges takes.
    let errors = [capabilities::give_up().map_err(SandboxError::Capabilities).err(), filter::install().err()];
    let errors: Vec<SandboxError> = errors.into_iter().flatten().collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Whether the kernel takes a filter of system calls.
pub fn kernel_filters() -> bool {
    std::path::Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

/// The names of the capabilities that are kept, where the agent had them.
pub fn kept() -> Vec<&'static str> {
    capabilities::KEPT.iter().map(|(_, name)| *name).collect()
}
