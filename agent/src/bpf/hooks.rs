//! Programs at places of the kernel that have a name, each of which tracing works without.

use aya::Btf;
use aya::programs::{BtfTracePoint, FEntry, FExit, Program, ProgramError};

use super::{Capture, CaptureError, lines, load_error};

/// What threads sleep on: name of the program, of the place.
pub(super) const SLEEP: (&str, &str) = ("wirespan_sleep", "sched_switch");
/// Unix sockets that cannot be connected.
pub(super) const UNIX: (&str, &str) = ("wirespan_unix", "unix_stream_connect");
/// Wake-ups of loops by other threads.
pub(super) const EVENTFD: (&str, &str) = ("wirespan_eventfd", "eventfd_read");
/// What is said where these are not told.
pub(super) const UNHEARD: &str = "wake-ups of loops by other threads (Node) are not seen";
/// All of these, and what sees lines on terminals.
pub(super) const PLACES: [(&str, &str); 4] = [SLEEP, UNIX, EVENTFD, lines::TERMINALS];

/// A program that runs at such a place.
pub(super) trait Hook {
    /// Loads it.
    ///
    /// # Errors
    /// If the kernel has no such place, or refuses.
    fn load_for(&mut self, place: &str, btf: &Btf) -> Result<(), ProgramError>;

    /// Has it run from now on.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn begin(&mut self) -> Result<(), ProgramError>;
}

/// Programs that aya loads and attaches alike: at a tracepoint, where a function of the kernel is entered, where one returns.
macro_rules! hooks {
    ($($program:ty),*) => {$(
        impl Hook for $program {
            fn load_for(&mut self, place: &str, btf: &Btf) -> Result<(), ProgramError> {
                self.load(place, btf)
            }

            fn begin(&mut self) -> Result<(), ProgramError> {
                self.attach().map(drop)
            }
        }
    )*};
}

hooks!(BtfTracePoint, FEntry, FExit);

impl Capture {
    /// Has a program run at a place.
    pub(super) fn hook<'a, T>(&'a mut self, hook: (&'static str, &str), btf: &Btf) -> Result<(), CaptureError>
    where
        T: Hook + 'a,
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let (name, place) = hook;
        let program = self.program::<T>(name)?;
        program.load_for(place, btf).and_then(|()| program.begin()).map_err(|e| load_error(name, &e))
    }

    /// Loads what tells that loops are woken, to be attached once there is one.
    pub(super) fn load_wakes(&mut self, btf: &Btf) -> Result<(), CaptureError> {
        let (name, place) = EVENTFD;
        self.program::<FExit>(name)?.load(place, btf).map_err(|e| load_error(name, &e))
    }

    /// There is a loop: that loops are woken is told from now on. Nobody's reads of an `eventfd` cost more before.
    pub(super) fn tell_wakes(&mut self) {
        if std::mem::take(&mut self.wakes)
            && let Err(error) = self
                .program::<FExit>(EVENTFD.0)
                .and_then(|program| program.attach().map_err(|e| load_error(EVENTFD.0, &e)))
        {
            log::info!("{UNHEARD}: {error}");
        }
    }
}
