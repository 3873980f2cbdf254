//! This machine.

use std::path::Path;

/// What every resource says about the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// `host.name`, empty if unknown.
    pub name: String,
    /// `host.id`: the machine id, empty if there is none.
    pub id: String,
    /// `host.arch`, as the semantic conventions spell it.
    pub arch: String,
}

impl HostInfo {
    /// Reads the machine's name and id below `root` (`/`). What cannot be read stays empty.
    pub fn read(root: &Path) -> Self {
        let line = |path: &str| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(text.trim().to_string()).filter(|text| !text.is_empty())
        };
        Self {
            name: line("proc/sys/kernel/hostname").or_else(|| line("etc/hostname")).unwrap_or_default(),
            id: line("etc/machine-id").or_else(|| line("var/lib/dbus/machine-id")).unwrap_or_default(),
            arch: arch(std::env::consts::ARCH).to_string(),
        }
    }
}

/// Rust's name of an architecture as the semantic conventions' one.
fn arch(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_spelt_as_the_conventions_spell_them() {
        assert_eq!(arch("x86_64"), "amd64");
        assert_eq!(arch("aarch64"), "arm64");
        assert_eq!(arch("s390x"), "s390x");
    }

    #[test]
    fn a_machine_that_says_nothing_stays_unnamed() {
        let host = HostInfo::read(Path::new("/nonexistent"));
        assert_eq!((host.name.as_str(), host.id.as_str()), ("", ""));
    }
}
