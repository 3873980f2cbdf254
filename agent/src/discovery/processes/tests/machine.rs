//! A machine whose `/proc` is a directory, begun from captured files (`tests/fixtures/proc/template`).

use std::os::unix::fs::symlink;

use super::super::*;
use crate::cli::{self, Command};
use crate::config::Surroundings;

pub const ID: &str = "3f1c0e8a9b7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e";
pub const STAT: &str = include_str!("../../../../tests/fixtures/proc/template/stat");
pub const STATUS: &str = include_str!("../../../../tests/fixtures/proc/template/status");

/// Clock ticks to nanoseconds, at the 100 Hz that Linux shows to programs on every architecture that we build for.
pub const TICK: u64 = 10_000_000;

/// A process as `/proc` shows it.
pub struct Shown<'a> {
    pub exe: &'a str,
    pub args: &'a [&'a str],
    pub env: &'a [&'a str],
    pub cgroup: &'a str,
    pub parent: u32,
    pub uid: u32,
    pub start_ticks: u64,
}

pub const SHOWN: Shown =
    Shown { exe: "/usr/bin/x", args: &["x"], env: &["A=b"], cgroup: "/", parent: 1, uid: 0, start_ticks: 100 };

pub struct Machine {
    pub dir: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        Self { dir }
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub fn show(&self, pid: u32, shown: &Shown<'_>) -> &Self {
        self.hide(pid);
        // Fields of stat after the name, proc_pid_stat(5): ppid is the 4th of all, starttime the 22nd.
        let (_, fields) = STAT.trim().rsplit_once(") ").unwrap();
        let mut fields: Vec<String> = fields.split(' ').map(str::to_string).collect();
        fields[1] = shown.parent.to_string();
        fields[19] = shown.start_ticks.to_string();
        let uid = STATUS.lines().find(|line| line.starts_with("Uid:")).unwrap();
        let status = STATUS.replace(uid, &format!("Uid:\t0\t{}\t0\t0", shown.uid));
        let nul = |texts: &[&str]| texts.iter().map(|text| format!("{text}\0")).collect::<String>();
        self.file(&format!("proc/{pid}/stat"), format!("{pid} (name (odd)) {}\n", fields.join(" ")));
        self.file(&format!("proc/{pid}/status"), status);
        self.file(&format!("proc/{pid}/cmdline"), nul(shown.args));
        self.file(&format!("proc/{pid}/environ"), nul(shown.env));
        self.file(&format!("proc/{pid}/cgroup"), format!("0::{}\n", shown.cgroup));
        symlink(shown.exe, self.dir.path().join(format!("proc/{pid}/exe"))).unwrap();
        self
    }

    pub fn hide(&self, pid: u32) -> &Self {
        let _ = std::fs::remove_dir_all(self.dir.path().join(format!("proc/{pid}")));
        self
    }

    pub fn link(&self, from: &str, to: &str) -> &Self {
        symlink(to, self.dir.path().join(from)).unwrap();
        self
    }

    pub fn processes(&self, flags: &str) -> Processes {
        let args = std::iter::once("wirespan").chain(flags.split_whitespace()).map(Into::into);
        let surroundings =
            Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let Ok(Command::Run(config)) = cli::parse(args, &surroundings) else { panic!("flags {flags}") };
        let host = HostInfo { name: "box".into(), id: "m1".into(), arch: "amd64".into() };
        Processes::new(&config, self.dir.path().join("proc"), host)
    }
}

pub fn exec<'a>(tgid: u32, parent_tgid: u32, args: &'a str, env: &'a str) -> ExecInfo<'a> {
    let time = 100 * TICK + 5;
    ExecInfo {
        tgid,
        parent_tgid,
        args: args.as_bytes(),
        env: env.as_bytes(),
        time,
        comm: b"comm\0\0",
        ..ExecInfo::default()
    }
}

pub fn service(processes: &mut Processes, tgid: u32) -> String {
    processes.get(tgid).resource.service_name().to_string()
}
