//! What the kernel's verifier took for each program. A kernel refuses one that takes it too long, and every one of them adds to
//! the time until the first request is seen: so `wirespan doctor` says it.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf};

use super::{COMMON_PROGRAMS, Capture, CaptureError, CaptureSettings, OBJECT, SOCKET_PROGRAMS, hooks, lines, probes};

/// What a kernel takes at most (`BPF_COMPLEXITY_LIMIT_INSNS` of include/linux/bpf.h), in instructions.
pub const LIMIT: u64 = 1_000_000;
/// What one of ours may take. Kernels differ (one without `bpf_loop` goes round each loop): a program that takes one a fifth of what it allows another takes too.
pub const MOST: u64 = 200_000;

/// What the verifier made of the programs.
#[derive(Debug, Default)]
pub struct Verified {
    /// Instructions that it looked at, by program, the most first.
    pub steps: Vec<(String, u64)>,
    /// Programs that this kernel has no place for, or refuses.
    pub refused: Vec<String>,
}

/// Loads every program, those that are not needed here too, and attaches none.
///
/// # Errors
/// If not even their maps can be made.
pub fn every_program(settings: &CaptureSettings) -> Result<Verified, CaptureError> {
    let btf = Btf::from_sys_fs().map_err(|e| CaptureError::Btf(e.to_string()))?;
    let (mut ebpf, _) = Capture::object(settings, &btf)?;
    let maps = probes::load::maps(&ebpf);
    let mut verified = Verified::default();
    for (name, program) in ebpf.programs_mut() {
        if matches!(program, Program::UProbe(_)) {
            continue;
        }
        let steps = load(name, program, &btf).ok().and_then(|()| self::steps(program.fd().ok()?.as_fd()));
        verified.add(name, steps);
    }
    match probes::load::load(&mut ebpf, OBJECT, &maps) {
        Ok(kernel) => kernel.programs().for_each(|(name, fd)| verified.add(name, steps(fd))),
        Err(_) => verified.refused.push("probes".to_owned()),
    }
    verified.steps.sort_by_key(|(_, steps)| std::cmp::Reverse(*steps));
    Ok(verified)
}

impl Verified {
    fn add(&mut self, name: &str, steps: Option<u64>) {
        match steps {
            Some(steps) => self.steps.push((name.to_owned(), steps)),
            None => self.refused.push(name.to_owned()),
        }
    }
}

/// Loads a program for its place, the first of those that it may have.
fn load(name: &str, program: &mut Program, btf: &Btf) -> Result<(), ProgramError> {
    let typed = COMMON_PROGRAMS.iter().chain(&SOCKET_PROGRAMS).chain(&hooks::PLACES).copied();
    let files = lines::FILES.iter().map(|(_, name, place)| (*name, *place));
    let pipes = lines::PIPES.iter().map(|place| ("wirespan_pipe", *place));
    let places = typed.chain(files).chain(pipes).filter(|(program, _)| *program == name).map(|(_, place)| place);
    let mut result = Err(ProgramError::UnexpectedProgramType);
    if let Program::RawTracePoint(program) = program {
        return program.load();
    }
    for place in places {
        result = match program {
            Program::BtfTracePoint(program) => program.load(place, btf),
            Program::FEntry(program) => program.load(place, btf),
            Program::FExit(program) => program.load(place, btf),
            _ => break,
        };
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Instructions that the verifier looked at. Kernels tell since 5.16.
fn steps(program: BorrowedFd<'_>) -> Option<u64> {
    figure(program, "verified_insns")
}

/// A figure that the kernel has of a program.
fn figure(program: BorrowedFd<'_>, name: &str) -> Option<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim().parse().ok()
}

/// Program runs that the kernel skipped because the same program was already running on that CPU.
pub(super) fn missed_runs(ebpf: &Ebpf) -> u64 {
    ebpf.programs().filter_map(|(_, program)| figure(program.fd().ok()?.as_fd(), "recursion_misses")).sum()
}
