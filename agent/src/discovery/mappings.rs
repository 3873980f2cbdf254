//! What a process has mapped into its memory of files: `/proc/PID/maps`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The most of the list that is read, bytes.
const MAX_LIST: u64 = 4 << 20;

/// A process's list, of whose lines [`Mapping::of`] makes sense; empty if the process is gone. `dir` is its directory below
/// `/proc`.
pub fn list(dir: &Path) -> String {
    let mut text = Vec::new();
    match File::open(dir.join("maps")).and_then(|maps| maps.take(MAX_LIST).read_to_end(&mut text)) {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// Part of a file in a process's memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// Its rights let it be executed.
    pub is_code: bool,
    /// Where in the file it begins.
    pub offset: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// What a line says; `None` if it is about no file.
    pub fn of(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let (from, to) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let offset = words.next()?;
        let path = words.nth(2)?.trim_start();
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (from, to, offset) = (number(from)?, number(to)?, number(offset)?);
        path.starts_with('/').then_some(Self { from, to, is_code: rights.contains('x'), offset, path })
    }

    /// The last part of the file's path, as the process sees it.
    pub fn file_name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The file, as the agent finds it.
    pub fn file(&self, dir: &Path) -> PathBuf {
        match std::fs::read_link(dir.join("exe")).is_ok_and(|program| program == Path::new(self.path)) {
            true => dir.join("exe"),
            false => dir.join("root").join(self.path.trim_start_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_with_a_path_that_has_spaces() {
        let path = "/opt/my python/libssl-8bd944e8.so.3";
        let line = format!("7f2d0cc00000-7f2d0cd00000 r-xp 00001000 fe:01 1234                       {path}");
        let (from, to) = (0x7f2d_0cc0_0000, 0x7f2d_0cd0_0000);
        let wanted = Mapping { from, to, is_code: true, offset: 0x1000, path };
        assert_eq!(wanted.file_name(), "libssl-8bd944e8.so.3");
        assert_eq!(Mapping::of(&line), Some(wanted));
        let path = "/opt/my python/libpython3.so";
        let line = format!("7f2d0cc00000-7f2d0cd00000 r--p 00001000 fe:01 1234                       {path}");
        assert_eq!(Mapping::of(&line), Some(Mapping { from, to, is_code: false, offset: 0x1000, path }));
    }

    #[test]
    fn what_is_no_files_is_none() {
        assert_eq!(Mapping::of("7ffd-7ffe rw-p 00000000 00:00 0                          [stack]"), None);
        assert_eq!(Mapping::of("7ffd-7ffe r-xp 00000000 00:00 0                          [vdso]"), None);
        assert_eq!(Mapping::of("7ffd-7ffe rw-p 00000000 00:00 0"), None);
        assert_eq!(Mapping::of("7ffd-7ffe rwxp 00000000 00:00 0"), None);
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        assert_eq!(list("/proc/4294967295".as_ref()), "");
    }
}
