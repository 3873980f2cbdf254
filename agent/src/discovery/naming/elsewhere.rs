//! In whose file system a program is: the host's, or one of its own, as containers have whose names nobody knows.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::CommandLine;
use super::namesakes::settled;
use crate::discovery::files::{self, Print};

/// How many things may tell two file systems apart.
pub(super) const LABELS: usize = 4;
/// Most bytes of a process's list of mounts that are read.
const MAX_MOUNTS: u64 = 256 << 10;
/// Characters of a container's id that people read.
const SHORT: usize = 12;

/// A file system, by what tells it from others, and the program's file in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// The file, as it is now; an image that is started twice has it twice.
    print: Option<Print>,
    /// The folder that is its root or is mounted there, its control group, its host's name, its container's id: what is not known, or the host's, is
    /// empty. What changes whenever it is made anew is left out of the first three, so names last. `None` if that is not known, or
    /// does not matter.
    labels: Option<[String; LABELS]>,
}

impl Elsewhere {
    /// Where the program is that has this file.
    pub(super) fn of(line: &CommandLine<'_>, file: &Path) -> Self {
        let Some(root) = line.root() else { return Self::default() };
        let print = files::print(&root, file);
        Self { print, labels: labels(line, &root, file, print) }
    }

    /// Whether the same program is there, as far as is known: the same file system, or the same file in another.
    pub(super) fn is(&self, other: &Self) -> bool {
        let known = self.labels.is_some() && other.labels.is_some();
        !known || self.labels == other.labels || (self.print.is_some() && self.print == other.print)
    }

    /// All that tells it from others.
    pub(super) fn all(&self) -> String {
        let labels = self.labels.iter().flatten().map(String::as_str);
        labels.filter(|label| !label.is_empty()).collect::<Vec<_>>().join("/")
    }

    /// One of the things that tell it from others; empty if it is not known.
    pub(super) fn label(&self, at: usize) -> &str {
        self.labels.as_ref().map_or("", |labels| &labels[at])
    }
}

/// What tells the file system from others, where it is not the host's, or has another file there.
fn labels(line: &CommandLine<'_>, root: &Path, file: &Path, print: Option<Print>) -> Option<[String; LABELS]> {
    let proc = root.parent()?.parent()?;
    // (Process 1 may be out of reach; then what the agent itself sees is the host's.)
    let hosts = [proc.join("1/root"), proc.parent()?.to_owned()];
    let (is_hosts, host) = hosts.into_iter().find_map(|host| Some((files::is_same_folder(root, &host)?, host)))?;
    if is_hosts && files::print(&host, file) == print {
        return Some(Default::default());
    }
    let folder = std::fs::read_link(root).ok().map(|path| path.to_string_lossy().into_owned());
    let folder = folder.filter(|path| path != "/" && !is_hosts).or_else(|| mounted(line, file)).unwrap_or_default();
    let group = line.facts.cgroup.paths.first().map_or("", String::as_str);
    let hostname = |root: &Path| files::text(root, Path::new("/etc/hostname"), 256);
    let own = hostname(root).filter(|own| Some(own) != hostname(&host).as_ref()).unwrap_or_default();
    let id = line.facts.cgroup.container_id.as_deref().unwrap_or_default();
    let lasting = |text: &str| text.trim_matches('/').split('/').map(settled).collect::<Vec<_>>().join("/");
    Some([lasting(&folder), lasting(group), lasting(own.trim()), id.get(..SHORT).unwrap_or(id).to_owned()])
}

/// What is mounted where a file is: a part of its file system (proc_pid_mountinfo(5)).
fn mounted(line: &CommandLine<'_>, file: &Path) -> Option<String> {
    let mut text = String::new();
    let list = File::open(line.facts.dir.as_ref()?.join("mountinfo")).ok()?;
    list.take(MAX_MOUNTS).read_to_string(&mut text).ok()?;
    let mounts = text.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(_, point)| file.starts_with(point));
    let (part, _) = above.max_by_key(|(_, point)| point.len())?;
    (part != "/").then(|| part.to_owned())
}

#[cfg(test)]
impl Elsewhere {
    /// A file of this length in a file system with these labels.
    pub(super) fn new(length: u64, labels: [&str; LABELS]) -> Self {
        Self { print: Some(Print { length, modified: (0, 0) }), labels: Some(labels.map(str::to_owned)) }
    }
}
