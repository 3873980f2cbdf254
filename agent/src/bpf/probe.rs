//! What this kernel and these privileges allow, found by trying.

use super::{BTF_PATH, Capture, CaptureError, CaptureSettings, Mode, OBJECT};

/// Result of one attempt to load and attach everything: how socket operations are seen, and whether what threads sleep on is.
pub type Attempt = Result<(Mode, bool), CaptureError>;

/// Whether the kernel programs are part of this binary.
pub fn has_object() -> bool {
    !OBJECT.is_empty()
}

/// Whether the kernel describes its types.
pub fn has_btf() -> Result<(), std::io::Error> {
    std::fs::metadata(BTF_PATH).map(drop)
}

/// Loads and attaches everything in the given way, and detaches at once.
pub fn attempt(fallback: bool) -> Attempt {
    let settings = CaptureSettings { capture_bytes: 0, ring_bytes: 1 << 16, force_fallback: fallback };
    Capture::start(&settings).map(|capture| (capture.mode(), capture.sees_sleeps()))
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
