//! What links need to know of a process. Who it is, what it is called and whether it is traced is decided elsewhere.

use std::fmt::Debug;
use std::sync::Arc;

use wirespan_signals::Resource;

/// One life of a process. Whoever holds it keeps its name past its end.
pub trait Process: Debug + Send + Sync {
    /// Its id in the initial pid namespace.
    fn tgid(&self) -> u32;
    /// What its spans say of it.
    fn resource(&self) -> &Arc<Resource>;
    /// The process that forked it, 0 if unknown.
    fn parent(&self) -> u32;
    /// When it began, nanoseconds since boot; `None` if that is not known.
    fn start(&self) -> Option<u64>;
    /// Whether its spans are wanted: no longer so once it turns out to export its own.
    fn is_traced(&self) -> bool;
}
