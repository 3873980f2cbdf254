//! What sees what programs write where their lines go. Sockets are seen in any case; of the rest, what this kernel has that costs
//! others least. There may be several on one machine, and none is needed for anything else.

use aya::Btf;
use aya::programs::{BtfTracePoint, FEntry, Program, ProgramError, RawTracePoint};
use wirespan_common::LogPlaces;

use super::hooks::Hook;
use super::{Capture, load_error};

/// What may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    #[default]
    Off,
    /// What costs other programs nothing, or next to nothing when they write to such places themselves.
    Free,
    /// Whatever there is.
    All,
}

/// What is seen besides sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// File systems whose files are.
    pub files: Vec<&'static str>,
    /// Pipes (containers, shells).
    pub pipes: bool,
    /// Terminals.
    pub terminals: bool,
    /// All of them, at the beginning of every system call of the machine.
    pub calls: bool,
}

/// Values of the map of places.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct PlainLogPlaces(pub LogPlaces);

// SAFETY: integers only, no padding (asserted by its size in wirespan-common).
unsafe impl aya::Pod for PlainLogPlaces {}

/// File systems: name, program, tracepoint. (One that is a module has none that a program can be typed for.)
pub(super) const FILES: [(&str, &str, &str); 2] =
    [("ext4", "wirespan_ext4", "ext4_da_write_begin"), ("xfs", "wirespan_xfs", "xfs_file_buffered_write")];
/// As the function was called, and is called since Linux 6.13.
pub(super) const PIPES: [&str; 2] = ["pipe_write", "anon_pipe_write"];
/// Terminals: program, function.
pub(super) const TERMINALS: (&str, &str) = ("wirespan_tty", "tty_write");

impl Capture {
    /// Attaches what is wanted and there.
    pub(super) fn attach_lines(&mut self, wanted: Wanted, btf: &Btf) -> Seen {
        let mut seen = Seen::default();
        if wanted == Wanted::Off {
            return seen;
        }
        seen.pipes = PIPES.iter().any(|function| self.attach_line::<FEntry>(("wirespan_pipe", function), btf));
        seen.terminals = seen.pipes && self.attach_line::<FEntry>(TERMINALS, btf);
        if !seen.pipes && wanted == Wanted::All {
            seen.calls = self.attach_calls();
        }
        if !seen.calls {
            let files = FILES
                .iter()
                .filter(|(_, program, tracepoint)| self.attach_line::<BtfTracePoint>((program, tracepoint), btf));
            seen.files = files.map(|(name, ..)| *name).collect();
        }
        seen
    }

    /// Whether a place is there, and seen from now on.
    fn attach_line<'a, T>(&'a mut self, hook: (&'static str, &str), btf: &Btf) -> bool
    where
        T: Hook + 'a,
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        self.hook::<T>(hook, btf).inspect_err(|error| log::debug!("{}: {error}", hook.1)).is_ok()
    }

    fn attach_calls(&mut self) -> bool {
        let name = "wirespan_write";
        let attached = self.program::<RawTracePoint>(name).and_then(|program| {
            program.load().map_err(|e| load_error(name, &e))?;
            program.attach("sys_enter").map_err(|e| load_error(name, &e))
        });
        attached.inspect_err(|error| log::warn!("what programs write to pipes is not read: {error}")).is_ok()
    }
}
