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
        // In a container that sees the machine's processes, the machine's files are those of process 1.
        let hosts = |path: &str| line(&format!("proc/1/root/{path}")).or_else(|| line(path));
        let kernels = || line("proc/sys/kernel/hostname").filter(|_| !has_own_name(root));
        Self {
            name: kernels().or_else(|| hosts("etc/hostname")).unwrap_or_default(),
            id: hosts("etc/machine-id").or_else(|| hosts("var/lib/dbus/machine-id")).unwrap_or_default(),
            arch: arch(std::env::consts::ARCH).to_string(),
        }
    }
}

/// Whether this process has a host name of its own, as in a pod: another than process 1, as far as that can be seen.
fn has_own_name(root: &Path) -> bool {
    let namespace = |process: &str| std::fs::read_link(root.join(format!("proc/{process}/ns/uts"))).ok();
    matches!((namespace("self"), namespace("1")), (Some(own), Some(hosts)) if own != hosts)
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

    #[test]
    fn a_pod_is_not_taken_for_the_machine_that_it_runs_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), text).unwrap();
        };
        file("proc/sys/kernel/hostname", "pod-1\n");
        file("etc/hostname", "pod-1\n");
        file("proc/1/root/etc/hostname", "node-1\n");
        file("proc/1/root/etc/machine-id", "m1\n");
        for (process, namespace) in [("self", "uts:[2]"), ("1", "uts:[1]")] {
            std::fs::create_dir_all(dir.path().join(format!("proc/{process}/ns"))).unwrap();
            std::os::unix::fs::symlink(namespace, dir.path().join(format!("proc/{process}/ns/uts"))).unwrap();
        }
        let host = HostInfo::read(dir.path());
        assert_eq!((host.name.as_str(), host.id.as_str()), ("node-1", "m1"));
    }
}
