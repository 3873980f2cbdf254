//! What this kernel and these privileges allow, found by trying.

use std::sync::Arc;
use std::time::Duration;

use wirespan_inspect::Image;

use super::probes::{Place, Probes, Program};
use super::verify::{self, Verified};
use super::{BTF_PATH, Capture, CaptureError, CaptureSettings, Mode, OBJECT};

/// What an attempt to load and attach everything has shown.
#[derive(Debug)]
pub struct Seen {
    /// How socket operations are seen.
    pub mode: Mode,
    /// Whether what threads sleep on is seen.
    pub sleeps: bool,
    /// Whether Unix sockets are seen that cannot be connected.
    pub unix: bool,
    /// What sees what programs write where their lines go.
    pub lines: super::lines::Seen,
    /// Whether all places of a process are probed by one link; or why there are no probes.
    pub probes: Result<bool, String>,
}

/// How long a probe may take to be attached.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the kernel programs are part of this binary.
pub fn has_object() -> bool {
    !OBJECT.is_empty()
}

/// Whether the kernel describes its types.
pub fn has_btf() -> Result<(), std::io::Error> {
    std::fs::metadata(BTF_PATH).map(drop)
}

/// Loads and attaches everything in the given way, and detaches at once.
///
/// # Errors
/// If the programs cannot be loaded or attached.
pub fn attempt(fallback: bool, lines: super::lines::Wanted) -> Result<Seen, CaptureError> {
    let settings =
        CaptureSettings { capture_bytes: 0, ring_bytes: 1 << 16, force_fallback: fallback, lines, clocks: true };
    let capture = Capture::start(&settings)?;
    let (mode, sleeps, unix) = (capture.mode(), capture.sees_sleeps(), capture.sees_unix());
    let lines = capture.sees_lines().clone();
    Ok(Seen { mode, sleeps, unix, lines, probes: probe_this(&capture) })
}

/// What the verifier makes of each program.
///
/// # Errors
/// If their maps cannot be made.
pub fn verify() -> Result<Verified, CaptureError> {
    let lines = super::lines::Wanted::Off;
    verify::every_program(&CaptureSettings {
        capture_bytes: 0,
        ring_bytes: 1 << 16,
        force_fallback: false,
        lines,
        clocks: true,
    })
}

/// Probes where this process began, which is not run again. Whether all places would be one link.
fn probe_this(capture: &Capture) -> Result<bool, String> {
    let attacher = capture.attacher.as_ref().map_err(Clone::clone)?;
    let file = std::fs::File::open("/proc/self/exe").map_err(|e| e.to_string())?;
    let offset = Image::parse(&file).ok().and_then(|image| image.file_offset(image.entry));
    let offset = offset.ok_or("this program has no beginning")?;
    let places = [Place { offset, cookie: 0 }].into();
    attacher.attach(std::process::id(), vec![Probes { program: Program::Go, file: Arc::new(file), places }]);
    match attacher.outcome(PATIENCE) {
        Some(outcome) => outcome.result.map(|_| attacher.together),
        None => Err("the kernel takes too long to attach a probe".to_owned()),
    }
}

/// Names of the capabilities that matter and whether this process has them.
pub fn capabilities() -> [(&'static str, bool); 4] {
    let effective = super::effective_capabilities();
    // include/uapi/linux/capability.h; CAP_SYS_ADMIN implied the newer two before they existed.
    let admin = effective >> 21 & 1 == 1;
    let has = |bit: u32| effective >> bit & 1 == 1;
    [
        ("CAP_BPF", has(39) || admin),
        ("CAP_PERFMON", has(38) || admin),
        ("CAP_SYS_PTRACE", has(19)),
        ("CAP_DAC_READ_SEARCH", has(2) || has(1)),
    ]
}
