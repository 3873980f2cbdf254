//! Finds or installs a compiler for the BPF target.
//!
//! Two are known to work, and the first that is there is taken:
//!
//! 1. a pinned nightly of rustup with `rust-src`, which compiles `core` itself;
//! 2. Debian's `rustc-web`, with the `core` that `libstd-rust-web-dev-bpf` brings ready-made. It is a stable compiler,
//!    told by `RUSTC_BOOTSTRAP=1` to accept what the target needs.
//!
//! When neither is there, apt is asked first, for it says at once whether it has the packages; rustup is next.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, shell};

/// The only target: both supported architectures are little-endian.
pub const TARGET: &str = "bpfel-unknown-none";

/// Rust 1.97 with LLVM 22: the newest that the pinned `aya-ebpf` and `bpf-linker` go with.
const NIGHTLY: &str = "nightly-2026-05-20";

/// What Debian 12 calls a recent compiler and its parts.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// A compiler that can build for [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's [`NIGHTLY`].
    Nightly,
    /// `/usr/bin/cargo` and `/usr/bin/rustc`.
    Debian,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nightly => out.write_str(NIGHTLY),
            Self::Debian => out.write_str("Debian's rustc-web"),
        }
    }
}

impl Toolchain {
    /// A cargo that builds with this toolchain, whatever else `PATH` holds.
    pub fn cargo(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = shell::cargo("rustup");
                command.args(["run", NIGHTLY, "cargo", "-Zbuild-std=core"]);
                command
            }
            Self::Debian => {
                let mut command = shell::cargo("/usr/bin/cargo");
                // Without this, cargo would call the `rustc` in PATH, which rustup puts its own in front of.
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    /// As [`Self::cargo`], ready for the arguments of `cargo clippy`.
    pub fn clippy(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = self.cargo();
                command.arg("clippy");
                command
            }
            Self::Debian => {
                // `cargo clippy` would find rustup's clippy first.
                let mut direct = shell::cargo("/usr/bin/cargo-clippy");
                direct.arg("clippy").env("CARGO", "/usr/bin/cargo");
                direct.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                direct
            }
        }
    }

    /// Installs clippy for this toolchain, if it is missing.
    pub fn ensure_clippy(self) -> Result<()> {
        match self {
            Self::Nightly => {
                let add = ["component", "add", "clippy", "--toolchain", NIGHTLY];
                let there = shell::capture(shell::cargo("rustup").args(["run", NIGHTLY, "cargo-clippy", "--version"]))?;
                if there.status.success() { Ok(()) } else { shell::run(shell::cargo("rustup").args(add)) }
            }
            Self::Debian => apt::ensure(&["rust-web-clippy"], "linting the BPF programs"),
        }
    }

    fn is_installed(self) -> bool {
        match self {
            Self::Nightly => {
                let name = format!("{NIGHTLY}-{}-unknown-linux-gnu", std::env::consts::ARCH);
                let core = "lib/rustlib/src/rust/library/core/Cargo.toml";
                rustup_home().is_some_and(|home| home.join("toolchains").join(name).join(core).is_file())
            }
            Self::Debian => {
                let tools = ["/usr/bin/cargo", "/usr/bin/rustc"].iter().all(|tool| Path::new(tool).is_file());
                tools && has_core(Path::new("/usr/lib/rustlib").join(TARGET).join("lib").as_path())
            }
        }
    }
}

/// The toolchain to build with, installed if there was none.
pub fn ensure() -> Result<Toolchain> {
    if let Some(found) = [Toolchain::Nightly, Toolchain::Debian].into_iter().find(|it| it.is_installed()) {
        return Ok(found);
    }
    let chosen = if shell::has("apt-cache") && DEBIAN.into_iter().all(apt::offers) {
        apt::ensure(&DEBIAN, "compiling the BPF programs")?;
        Toolchain::Debian
    } else {
        install_nightly()?;
        Toolchain::Nightly
    };
    if !chosen.is_installed() {
        bail!("{chosen} was installed, and yet lacks `core` for {TARGET}: please report this");
    }
    Ok(chosen)
}

fn install_nightly() -> Result<()> {
    if !shell::has("rustup") {
        bail!("no compiler for {TARGET}: install rustup (https://rustup.rs) and try again");
    }
    shell::say(format!("installing {NIGHTLY} with rustup, for compiling the BPF programs"));
    let mut command = shell::cargo("rustup");
    command.args(["toolchain", "install", NIGHTLY, "--profile", "minimal", "--component", "rust-src"]);
    shell::run(&mut command).with_context(|| {
        format!("no compiler for {TARGET}: apt has no {}, and rustup cannot fetch {NIGHTLY}", DEBIAN.join(", "))
    })
}

fn rustup_home() -> Option<PathBuf> {
    let chosen = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    chosen.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")))
}

fn has_core(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}
