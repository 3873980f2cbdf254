//! Which processes there are, what they are called, what they run in, and which of them are traced.
//!
//! | module | what it is |
//! |---|---|
//! | [`processes`] | the table of processes, fed by exec, fork and exit |
//! | [`holders`] | whether a process still holds a socket |
//! | [`facts`] | what can be learned of one process, from its exec event and from `/proc` |
//! | [`cgroup`], [`container`] | systemd unit, container id, container name |
//! | `files` | their files, read so that nothing in them can harm |
//! | [`naming`] | a program's name from its command line, one file per runtime |
//! | [`programs`] | what a program's file says of its runtime |
//! | [`mappings`] | which files a process has in its memory, and where |
//! | [`resource`] | facts into an OpenTelemetry resource; the order in which names are tried |
//! | [`selection`] | include and exclude rules |
//! | [`routes`] | why there is no way to an address |
//! | [`host`] | this machine |
//!
//! Everything is read below a root path, so tests run on captured trees, without privileges.

pub mod cgroup;
pub mod container;
pub mod facts;
mod files;
pub mod holders;
pub mod host;
pub mod mappings;
pub mod naming;
pub mod processes;
pub mod programs;
pub mod resource;
pub mod routes;
pub mod selection;

pub use facts::ExecInfo;
pub use host::HostInfo;
pub use processes::{Process, Processes};
pub use selection::Selection;
