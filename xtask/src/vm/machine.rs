//! Boots a kernel under QEMU, runs one command as root, and returns its output and exit status.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::{paths, shell};

/// What to run in a guest.
pub struct Job {
    /// Program and arguments, found as on the host.
    pub command: Vec<String>,
    /// MiB.
    pub memory: u32,
    /// After which the guest is stopped.
    pub timeout: Duration,
    /// A folder that the guest sees, and may write to, at the same path.
    pub share: Option<PathBuf>,
    /// Show what the guest's kernel says.
    pub verbose: bool,
    /// Print the output as it comes.
    pub echo: bool,
}

/// How it ended.
pub struct End {
    /// Exit status of the command.
    pub status: u8,
    /// Standard output and error, interleaved.
    pub output: String,
}

/// Boots `kernel` and runs `job` in it.
pub fn run(kernel: &Kernel, job: &Job) -> Result<End> {
    let folder = Folder::new()?;
    fs::write(folder.path.join("start"), start_script(job)?).context("cannot write the guest's start script")?;
    let mut qemu = command(kernel, job, &folder.path);
    let mut child = qemu.spawn().with_context(|| format!("cannot start `{}`", shell::show(&qemu)))?;
    let stdout = child.stdout.take().context("QEMU has no standard output")?;
    let echo = job.echo;
    let reader = thread::spawn(move || read_all(BufReader::new(stdout), echo));
    let ended = wait(&mut child, job.timeout)?;
    let output = reader.join().unwrap_or_default();
    let console = fs::read_to_string(folder.path.join("console")).unwrap_or_default();
    if job.verbose {
        eprint!("{console}");
    }
    if !ended {
        bail!("the guest was stopped after {} s\n{}", job.timeout.as_secs(), tail(&output));
    }
    let status = fs::read_to_string(folder.path.join("status")).unwrap_or_default();
    match status.trim().parse() {
        Ok(status) => Ok(End { status, output }),
        Err(_) => bail!("the guest ended without an exit status; its console said:\n{}", tail(&console)),
    }
}

fn command(kernel: &Kernel, job: &Job, folder: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    // A group of its own: an interrupt from the keyboard is for us, who then stop it.
    qemu.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"]);
    // One thread for both processors: with one each, a processor that is emulated may run into the breakpoint of a place in the
    // kernel's code that another has just been through with changing (a tracepoint that is switched on), and the guest panics: one
    // run in seven.
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=single,tb-size=512", "-cpu", "max", "-smp", "2"]);
    qemu.args(["-m", &job.memory.to_string()]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&kernel.initramfs);
    qemu.args(["-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable nokaslr"]);
    qemu.arg("-chardev").arg(format!("file,id=console,path={}", folder.join("console").display()));
    qemu.args(["-serial", "chardev:console", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]);
    // Not `stdio`: at the end of standard input QEMU takes that for closed, and the guest's writes would block.
    qemu.args([
        "-chardev",
        "file,id=output,path=/proc/self/fd/1",
        "-device",
        "virtserialport,chardev=output,name=output",
    ]);
    // The root file system may span several devices, whose inode numbers overlap.
    let share = |path: &Path, tag: &str, more: &str| {
        let path = path.display();
        format!("local,path={path},mount_tag={tag},security_model=none,multidevs=remap{more}")
    };
    qemu.arg("-virtfs").arg(share(Path::new("/"), "host", ",readonly=on"));
    qemu.arg("-virtfs").arg(share(folder, "job", ""));
    if let Some(shared) = &job.share {
        qemu.arg("-virtfs").arg(share(shared, "share", ""));
    }
    qemu
}

/// The shell script that the guest's `init` starts.
fn start_script(job: &Job) -> Result<String> {
    let mut script = String::from("export HOME=/root TERM=dumb LANG=C.UTF-8\n");
    let path = std::env::var("PATH").unwrap_or_default();
    script.push_str(&format!("export PATH={}\n", quote(&format!("{path}:/usr/sbin:/sbin"))));
    if let Some(shared) = &job.share {
        let at = quote(&shared.to_string_lossy());
        let options = "trans=virtio,version=9p2000.L,msize=512000,cache=none";
        script.push_str(&format!("mkdir -p {at} && mount -t 9p -o {options} share {at} || exit 125\n"));
    }
    let here = std::env::current_dir().context("the current folder is gone")?;
    script.push_str(&format!("cd {} || exit 125\nexec", quote(&here.to_string_lossy())));
    for word in &job.command {
        script.push(' ');
        script.push_str(&quote(word));
    }
    script.push('\n');
    Ok(script)
}

/// `text` as one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn read_all(mut input: impl BufRead, echo: bool) -> String {
    let mut all = Vec::new();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if echo {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
        all.append(&mut line);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Waits for the end and returns true, or stops the guest after `timeout` and returns false.
fn wait(child: &mut Child, timeout: Duration) -> Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        if child.try_wait().context("QEMU is lost")?.is_some() {
            return Ok(true);
        }
        if Instant::now() > deadline {
            child.kill().context("QEMU cannot be stopped")?;
            child.wait().context("QEMU is lost")?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// A folder shared with one guest, removed with it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("job-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = paths::target()?.join("vm").join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
