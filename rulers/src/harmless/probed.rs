//! Programs that are probed, and what can happen to them meanwhile: agents come, go and are killed under load; the program forks,
//! runs another in its place, lets go of a library, is replaced on disk, or runs below another root. Not one request may fail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use wirespan_tests::services::clients::{self, Build};
use wirespan_tests::{python, wait};

use super::agent::{Agent, Witness};
use super::check::{Ordeal, World};

/// Who asks at a time.
const CLIENTS: usize = 6;
/// Requests of one kind.
const REQUESTS: usize = 40;
/// Until a program answers, or a request is answered.
const PATIENCE: Duration = Duration::from_secs(20);
/// An agent reads a program's file and attaches within this time, once it serves.
const ATTACHES: Duration = Duration::from_millis(1500);

/// A running server; dropping it ends it.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(mut command: Command, folder: &Path) -> Result<Self> {
        let port = wait::free_port();
        command
            .arg(port.to_string())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let server = Self { child, port };
        server.answers()?;
        Ok(server)
    }

    /// Waits until it answers.
    fn answers(&self) -> Result<()> {
        let began = Instant::now();
        while let Err(error) = get(self.port, "/leaf") {
            ensure!(began.elapsed() < PATIENCE, "a server does not answer: {error:#}");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(port: u16, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lives\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("well"), "{path} answers {answer:?}");
    Ok(())
}

/// What was asked, and what failed of it.
#[derive(Default)]
struct Tally {
    requests: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    fn ask(&self, what: &str, port: u16, path: &str) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = get(port, path)
            && let Ok(mut failures) = self.failures.lock()
        {
            failures.push(format!("{what}: {error:#}"));
        }
    }

    fn ask_often(&self, what: &str, server: &Server, path: &str) {
        (0..REQUESTS).for_each(|_| self.ask(what, server.port, path));
    }
}

/// Without an agent first: what fails then is an error of this check.
pub fn run(world: &World) -> Result<Ordeal> {
    let tally = Tally::default();
    lives(world, &tally)?;
    let failures = tally.failures.into_inner().unwrap_or_default();
    if let Some(first) = failures.first() {
        bail!("{} requests fail without an agent, the first: {first}", failures.len());
    }
    let tally = Tally::default();
    let mut places = Vec::new();
    let programs = Programs::new(world)?;
    for (name, server) in [("Go", programs.go()?), ("asyncio", programs.asyncio()?)] {
        let attached = tormented(world, name, &server, &tally)?;
        ensure!(attached > 0, "{name}: nothing was probed");
        places.push((format!("{name}: places probed under load"), attached.to_string()));
    }
    let agent = Agent::start(world)?;
    lives(world, &tally)?;
    let attached = probes(&agent.stop()?);
    ensure!(attached > 0, "nothing was probed");
    places.push(("places probed in what forks, is replaced, runs elsewhere".to_owned(), attached.to_string()));
    let failures = tally.failures.into_inner().unwrap_or_default();
    let harms = match failures.first() {
        Some(first) => vec![format!("{} requests failed, the first: {first}", failures.len())],
        None => Vec::new(),
    };
    Ok(Ordeal { requests: tally.requests.into_inner(), harms, figures: places })
}

fn probes(witness: &Witness) -> u64 {
    witness.counters.get("probes_attached").copied().unwrap_or_default()
}

/// Agents come and go, and one is killed, while everybody asks. Returns how many places they probed.
fn tormented(world: &World, name: &str, server: &Server, tally: &Tally) -> Result<u64> {
    let enough = AtomicBool::new(false);
    let rounds = if world.short { 3 } else { 10 };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    tally.ask(name, server.port, "/call");
                }
            });
        }
        let torment = || -> Result<u64> {
            let mut attached = 0;
            for _ in 0..rounds {
                let agent = Agent::start(world)?;
                thread::sleep(ATTACHES);
                attached += probes(&agent.stop()?);
            }
            let agent = Agent::start(world)?;
            thread::sleep(ATTACHES);
            agent.kill()?;
            Ok(attached)
        };
        let attached = torment();
        enough.store(true, Ordering::Relaxed);
        attached
    })
}

/// The programs that are run.
struct Programs<'w> {
    world: &'w World,
    go: std::path::PathBuf,
}

impl<'w> Programs<'w> {
    fn new(world: &'w World) -> Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/harmless/programs/lives.go");
        Ok(Self { world, go: clients::built(&source, Build::Alone)? })
    }

    fn go(&self) -> Result<Server> {
        Server::start(Command::new(&self.go), &self.world.folder("probed")?)
    }

    fn asyncio(&self) -> Result<Server> {
        let folder = self.world.install("probed", &[("lives.py", include_str!("programs/lives.py"))])?;
        let mut command = Command::new(python::system());
        command.arg("lives.py").env("PYTHONDONTWRITEBYTECODE", "1");
        Server::start(command, &folder)
    }
}

/// What programs do in their lives.
fn lives(world: &World, tally: &Tally) -> Result<()> {
    let programs = Programs::new(world)?;
    let settled = |what: &str, server: &Server| {
        tally.ask_often(what, server, "/call");
        thread::sleep(ATTACHES);
        tally.ask_often(what, server, "/call");
    };
    let python = programs.asyncio()?;
    settled("Python", &python);
    tally.ask_often("Python that forks", &python, "/fork");
    tally.ask_often("Python that lets go of a library", &python, "/dlclose");
    tally.ask_often("Python, after that", &python, "/call");
    drop(python);

    let folder = world.folder("probed")?;
    let file = folder.join("replaced");
    std::fs::copy(&programs.go, &file).context("a copy of the program")?;
    let server = Server::start(Command::new(&file), &folder)?;
    settled("Go", &server);
    tally.ask_often("Go that starts programs", &server, "/fork");
    replaced(&file)?;
    tally.ask_often("Go whose file is replaced", &server, "/call");
    let next = Server::start(Command::new(&file), &folder)?;
    settled("Go, its next version", &next);
    drop(next);
    for _ in 0..3 {
        // It runs what is at its path: the next version, in the same process.
        tally.ask("Go that runs another program", server.port, "/exec");
        thread::sleep(Duration::from_millis(100));
        server.answers()?;
        settled("Go, after exec", &server);
    }
    drop(server);

    let root = world.folder("probed/root")?;
    std::fs::copy(&programs.go, root.join("lives")).context("a copy of the program")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "chroot"]).arg(&root).arg("/lives");
    let server = Server::start(command, &folder)?;
    settled("Go below another root", &server);
    Ok(())
}

/// Another file takes a file's place: longer by some bytes, which no program looks at.
fn replaced(file: &Path) -> Result<()> {
    let mut bytes = std::fs::read(file).context("the program")?;
    bytes.extend(b"the next version");
    let next = file.with_extension("next");
    std::fs::write(&next, bytes).context("the next version")?;
    std::fs::set_permissions(&next, std::fs::metadata(file)?.permissions())?;
    std::fs::rename(&next, file).context("the next version in its place")
}
