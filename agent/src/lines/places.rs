//! Where a process's lines go: its standard output and error, and files that it appends to and that are called logs. Looked up in
//! `/proc`, which touches none of these files; and again from time to time, for logs are rotated.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use wirespan_common::{LOG_PLACES, LogPlaces, log_place};
use wirespan_signals::{KeyValue, Slim as _};

/// `S_IFMT` of include/uapi/linux/stat.h: pipes, terminals, files, sockets.
const FIFO: u32 = 0o010_000;
const CHARACTER: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;
/// Of a Unix socket.
pub(super) const SOCKET: u32 = 0o140_000;
/// `O_ACCMODE`, `O_APPEND`.
const ACCESS: u64 = 0o3;
const APPEND: u64 = 0o2000;
/// Descriptors of a process that are looked at: logs are opened early.
const MAX_DESCRIPTORS: usize = 256;
/// When a process is looked at again, nanoseconds after it was first and since then.
const AGAIN: [u64; 3] = [1_000_000_000, 10_000_000_000, 60_000_000_000];
/// Processes.
const MAX_PROCESSES: usize = 8192;

/// What a place is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Standard output, or standard error, and no other.
    Stream(&'static str),
    /// A file.
    File(String),
}

impl Origin {
    /// As the semantic conventions have it.
    pub fn attribute(&self) -> KeyValue {
        match self {
            Self::Stream(name) => KeyValue::str("log.iostream", *name),
            Self::File(path) => KeyValue::str("log.file.path", path.clone()),
        }
    }
}

/// What is known of a process.
#[derive(Default)]
struct Known {
    places: LogPlaces,
    origins: Vec<(u64, Origin)>,
    looks: usize,
    next: u64,
}

/// Where lines go, by process.
pub struct Places {
    proc_root: PathBuf,
    known: FxHashMap<u32, Known>,
    /// When the first of them is due.
    due: u64,
}

impl Places {
    /// Nothing is known yet.
    pub fn new(proc_root: PathBuf) -> Self {
        Self { proc_root, known: FxHashMap::default(), due: u64::MAX }
    }

    /// A process is worth reading. It will be looked at.
    pub fn ask(&mut self, tgid: u32) {
        if self.known.len() < MAX_PROCESSES && !self.known.contains_key(&tgid) {
            self.known.insert(tgid, Known::default());
            self.due = 0;
        }
    }

    /// Whether this is a place of a process.
    pub fn knows(&self, tgid: u32, place: u64) -> bool {
        self.known.get(&tgid).is_some_and(|known| known.places.places.contains(&place))
    }

    /// What a place of a process is called.
    pub fn origin(&self, tgid: u32, place: u64) -> Option<&Origin> {
        let origins = &self.known.get(&tgid)?.origins;
        origins.iter().find(|(known, _)| *known == place).map(|(_, origin)| origin)
    }

    /// Looks at one process that is due. Returns its places if they are not what they were.
    pub fn look(&mut self, now: u64) -> Option<(u32, LogPlaces)> {
        if self.due > now {
            return None;
        }
        let tgid = self.known.iter().filter(|(_, known)| known.next <= now).map(|(tgid, _)| *tgid).next();
        let changed = tgid.and_then(|tgid| {
            let (places, origins) = places(&self.proc_root, tgid);
            let known = self.known.get_mut(&tgid)?;
            known.origins = origins;
            known.next = now + AGAIN[known.looks.min(AGAIN.len() - 1)];
            known.looks += 1;
            (std::mem::replace(&mut known.places, places) != places).then_some((tgid, places))
        });
        self.due = self.known.values().map(|known| known.next).min().unwrap_or(u64::MAX);
        changed
    }

    /// A process is gone, or runs another program. Returns whether it was known.
    pub fn forget(&mut self, tgid: u32) -> bool {
        let known = self.known.remove(&tgid).is_some();
        self.known.slim();
        known
    }
}

/// Where a process's lines go now, and what these places are called.
fn places(proc_root: &Path, tgid: u32) -> (LogPlaces, Vec<(u64, Origin)>) {
    let folder = proc_root.join(tgid.to_string());
    let mut found: Vec<(u64, Option<Origin>)> = Vec::new();
    let mut add = |place: u64, origin: Origin| match found.iter().position(|(known, _)| *known == place) {
        // Both streams in one place: which of them a line was written to is not known.
        Some(at) if matches!(found[at].1, Some(Origin::Stream(_))) => found[at].1 = None,
        Some(_) => {}
        None if found.len() < LOG_PLACES => found.push((place, Some(origin))),
        None => {}
    };
    for (fd, name) in [(1, "stdout"), (2, "stderr")] {
        if let Some((place, file)) = place(&folder, fd, false) {
            add(place, file.map_or(Origin::Stream(name), Origin::File));
        }
    }
    let others = std::fs::read_dir(folder.join("fd")).into_iter().flatten().take(MAX_DESCRIPTORS);
    let fds = others.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2);
    for (place, file) in fds.filter_map(|fd| place(&folder, fd, true)) {
        add(place, Origin::File(file.unwrap_or_default()));
    }
    let mut places = LogPlaces::default();
    places.places.iter_mut().zip(&found).for_each(|(place, (known, _))| *place = *known);
    (places, found.into_iter().filter_map(|(place, origin)| Some((place, origin?))).collect())
}

/// What is behind a descriptor, if lines may go there, and a file's path; `named`: only if it is called a log.
fn place(folder: &Path, fd: u32, named: bool) -> Option<(u64, Option<String>)> {
    let link = std::fs::read_link(folder.join(format!("fd/{fd}"))).ok()?;
    let path = link.as_os_str().as_bytes();
    let sort = match path {
        _ if path.starts_with(b"pipe:") => FIFO,
        _ if path.starts_with(b"socket:") => SOCKET,
        b"/dev/null" | b"/dev/full" | b"/dev/zero" => return None,
        _ if path.starts_with(b"/dev/pts/") || path.starts_with(b"/dev/tty") || path == b"/dev/console" => CHARACTER,
        _ if path.starts_with(b"/") => REGULAR,
        _ => return None,
    };
    if named && (sort != REGULAR || !is_log(path)) {
        return None;
    }
    let info = std::fs::read_to_string(folder.join(format!("fdinfo/{fd}"))).ok()?;
    let word = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let flags = u64::from_str_radix(word("flags:")?, 8).ok()?;
    if flags & ACCESS == 0 || (named && flags & APPEND == 0) {
        return None;
    }
    // (`ino:` is told since Linux 5.14.)
    let inode = word("ino:")?.parse().ok()?;
    let file = (sort == REGULAR).then(|| link.to_string_lossy().into_owned());
    Some((log_place(inode, sort), file))
}

/// Whether a file is called a log.
fn is_log(path: &[u8]) -> bool {
    let contains = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    let ends = [&b".log"[..], b".err", b".out", b".json", b".jsonl"].iter().any(|end| path.ends_with(end));
    ends || contains(b"/log/") || contains(b"/logs/") || contains(b".log.")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn logs_are_known_by_being_appended_to_and_by_their_names() {
        let folder = std::env::temp_dir().join(format!("wirespan-places-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let open = |name: &str, append: bool| {
            let path = folder.join(name);
            std::fs::OpenOptions::new().create(true).write(true).append(append).open(path).unwrap()
        };
        let (log, data, plain) = (open("shop.log", true), open("shop.aof", true), open("other.log", false));
        (&log).write_all(b"x").unwrap();
        let own = Path::new("/proc/self");
        let of = |file: &std::fs::File| place(own, file.as_raw_fd() as u32, true).map(|(place, _)| place);
        let metadata = log.metadata().unwrap();
        assert_eq!(of(&log), Some(log_place(metadata.ino(), metadata.mode())));
        assert_eq!([of(&data), of(&plain)], [None, None]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_process_is_looked_at_when_it_is_asked_for_and_again_when_that_is_due() {
        let mut places = Places::new("/proc".into());
        assert_eq!(places.look(1), None);
        let (mut child, reader) = {
            let (reader, writer) = std::io::pipe().unwrap();
            (
                std::process::Command::new("cat").stdin(std::process::Stdio::piped()).stdout(writer).spawn().unwrap(),
                reader,
            )
        };
        places.ask(child.id());
        let (tgid, found) = places.look(1).unwrap();
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap().ino();
        assert_eq!((tgid, found.places[0]), (child.id(), log_place(inode, FIFO)));
        assert!(places.knows(tgid, found.places[0]) && !places.knows(tgid, 1));
        assert_eq!(places.origin(tgid, found.places[0]), Some(&Origin::Stream("stdout")));
        assert_eq!(places.look(2), None, "it is not due");
        assert_eq!(places.look(2 + AGAIN[0]), None, "nothing has changed");
        assert!(places.forget(tgid) && !places.forget(tgid));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
