//! The programs under load, started as a person would start them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sink::MARK;
use crate::{paths, services};

const APP: &str = include_str!("app.py");
const START: Duration = Duration::from_secs(20);
/// Loopback addresses that nginx listens on: more than one, or a churn of connections would use up the client's ports.
pub const ADDRESSES: u8 = 4;

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Its first address.
    pub address: SocketAddr,
    /// Connections that wrk opens to it.
    pub connections: u32,
}

impl Server {
    /// The URL that is measured.
    pub fn url(&self) -> String {
        format!("http://{}{MARK}", self.address)
    }

    /// What starts a load generator, to be followed by its name.
    ///
    /// nginx and its load share two processors, and the scheduler's choice of who runs where would change the rate by
    /// more than the agent does: nginx has the first processor and the load the last. The agent goes where it likes.
    pub fn load_generator(&self) -> Command {
        let mut command = Command::new("taskset");
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        let first = if self.is_nginx() { all - 1 } else { 0 };
        command.arg("--cpu-list").arg(format!("{first}-{}", all - 1));
        command
    }

    fn is_nginx(&self) -> bool {
        self.folder.join("nginx.conf").is_file()
    }

    /// Requests that nginx has answered, from its own count; `None` for another server.
    pub fn answered(&self) -> Result<Option<u64>> {
        if !self.is_nginx() {
            return Ok(None);
        }
        // Three lines: "Active connections: …", "server accepts handled requests", " 1 1 1 ".
        let page = get(self.address, "/status")?;
        let line = page.lines().skip_while(|line| !line.contains("handled requests")).nth(1);
        let requests = line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
        Ok(Some(requests.with_context(|| format!("nginx's status page is unlike what it was: {page}"))?))
    }

    fn start(mut command: Command, folder: PathBuf, port: u16, connections: u32) -> Result<Self> {
        let log = folder.join("log");
        let out = fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone().context("no second handle of the log")?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start `{}`", crate::shell::show(&command)))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Self { child, folder, address, connections };
        let deadline = Instant::now() + START;
        while get(address, MARK).is_err() {
            if Instant::now() > deadline || server.child.try_wait().context("the server is lost")?.is_some() {
                bail!("`{}` does not answer: {}", crate::shell::show(&command), fs::read_to_string(&log)?);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not SIGKILL: both servers have children of their own to stop.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// nginx with one worker and a file of one byte short of 64: the worst case for an agent, for there is nothing else to do.
pub fn nginx() -> Result<Server> {
    let folder = fresh_folder("nginx")?;
    let port = free_port()?;
    let listen: String = (1..=ADDRESSES).map(|n| format!("listen 127.0.0.{n}:{port} backlog=4096; ")).collect();
    let root = folder.join("site");
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    fs::write(root.join(MARK.trim_start_matches('/')), [b'x'; 63]).context("cannot write the file to serve")?;
    let home = folder.display();
    let config = format!(
        "daemon off; user root; pid {home}/pid; error_log {home}/error; worker_processes 1; worker_cpu_affinity 1; worker_rlimit_nofile 15000;\n\
         events {{ worker_connections 14000; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600;\n\
         client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;\n\
         uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;\n\
         server {{ {listen} location / {{ root {home}/site; }} location = /status {{ stub_status; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(services::find("nginx").context("nginx is not installed")?);
    command.arg("-p").arg(&folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error"));
    Server::start(command, folder, port, 16)
}

/// Flask under gunicorn: two processes of four threads.
pub fn flask() -> Result<Server> {
    let folder = fresh_folder("flask")?;
    let port = free_port()?;
    fs::write(folder.join("app.py"), APP).context("cannot write the Flask application")?;
    let mut command = Command::new(services::python()?);
    command.args(["-m", "gunicorn", "--workers", "2", "--threads", "4", "--keep-alive", "60", "--log-level", "error"]);
    command.arg("--bind").arg(format!("127.0.0.1:{port}")).arg("app:app").current_dir(&folder);
    Server::start(command, folder, port, 8)
}

/// One request on a connection of its own; returns the response with its head.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    if !response.starts_with("HTTP/1.1 200") {
        bail!("{address}{path} answers {}", response.lines().next().unwrap_or_default());
    }
    Ok(response)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}

fn fresh_folder(name: &str) -> Result<PathBuf> {
    let folder: PathBuf = paths::target()?.join("bench").join(format!("{name}-{}", std::process::id()));
    remove(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn remove(folder: &Path) {
    // It is there only if a run was killed.
    let _ = fs::remove_dir_all(folder);
}
