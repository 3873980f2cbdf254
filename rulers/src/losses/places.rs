//! The programs that answer, and where they listen: each over TCP and over a Unix socket.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use wirespan_tests::program::Program;
use wirespan_tests::python;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;

/// How many numbers there are for HTTP, as in `talk.py`.
const NUMBERS: u32 = 190;

/// A server over which numbers are exchanged.
pub struct Place {
    /// Protocol and kind of socket.
    pub name: String,
    /// As `talk.py` calls it.
    pub protocol: &'static str,
    /// A port, or a path.
    pub at: String,
}

/// All of them, and the programs behind them.
pub struct Places {
    all: Vec<Place>,
    _databases: Vec<Database>,
    programs: Vec<Program>,
}

/// What a server that speaks HTTP is called, and the command that starts it at an address.
type Web<'a> = (&'static str, Box<dyn Fn(&str) -> Result<Command> + 'a>);

impl Places {
    /// Starts all.
    pub fn start(scene: &Scene) -> Result<Self> {
        let (postgres, mariadb) = (Database::postgres(scene), Database::mariadb(scene));
        let (redis, memcached) = (Database::redis(scene), Database::memcached(scene));
        let dir = scene.dir();
        let all = vec![
            tcp("postgresql", "postgresql", postgres.port),
            // The name of the socket ends in the port, which the driver is told apart.
            unix("postgresql", "postgresql", &dir.join(format!("postgres-{0}/.s.PGSQL.{0}", postgres.port))),
            tcp("mariadb", "mariadb", mariadb.port),
            unix("mariadb", "mariadb", &dir.join(format!("mysql-{}/my.sock", mariadb.port))),
            tcp("redis", "redis", redis.port),
            tcp("memcached", "memcached", memcached.port),
        ];
        let mut places = Self { all, _databases: vec![postgres, mariadb, redis, memcached], programs: Vec::new() };
        let sockets = dir.join("sockets");
        fs::create_dir(&sockets)?;
        fs::set_permissions(&sockets, Permissions::from_mode(0o777))?;
        let path = sockets.join("redis");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&path).current_dir(dir);
        places.at_path(dir, ("redis", "redis"), &mut command, &path)?;
        let path = sockets.join("memcached");
        let mut command = Command::new("memcached");
        command.args(["-u", "nobody", "-a", "777", "-t", "2", "-s"]).arg(&path);
        places.at_path(dir, ("memcached", "memcached"), &mut command, &path)?;
        for (name, command) in webs(dir)? {
            let path = sockets.join(name);
            places.at_path(dir, (name, "http"), &mut command(&path.display().to_string())?, &path)?;
            let port = scene.port();
            let program = Program::try_start(&format!("{name}-tcp"), dir, &mut command(&port.to_string())?)?;
            places.programs.push(program.listens_on(port));
            places.all.push(tcp(name, "http", port));
        }
        places.all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(places)
    }

    /// Starts a program that listens at the path of a Unix socket.
    fn at_path(&mut self, dir: &Path, who: (&str, &'static str), command: &mut Command, path: &Path) -> Result<()> {
        let (name, protocol) = who;
        let program = Program::try_start(&format!("{name}-unix"), dir, command)?.listens_at(path);
        self.programs.push(program);
        self.all.push(unix(name, protocol, path));
        Ok(())
    }

    /// All of them.
    pub fn all(&self) -> &[Place] {
        &self.all
    }
}

/// The servers that speak HTTP/1.1: head and body in one write, in two, and in one of several buffers.
fn webs(dir: &Path) -> Result<Vec<Web<'_>>> {
    let script = dir.join("http_server.py");
    fs::write(&script, include_str!("http_server.py"))?;
    fs::write(dir.join("numbers_wsgi.py"), include_str!("numbers_wsgi.py"))?;
    let plain = move |at: &str| {
        let mut command = Command::new(python::bin("python"));
        command.arg(&script).arg(at);
        Ok(command)
    };
    let gunicorn = move |at: &str| {
        let bind = if at.starts_with('/') { format!("unix:{at}") } else { format!("127.0.0.1:{at}") };
        let mut command = Command::new(python::bin("gunicorn"));
        command.args(["--worker-class", "gthread", "--threads", "8", "--keep-alive", "60", "--bind", &bind]);
        command.arg("numbers_wsgi").current_dir(dir);
        Ok(command)
    };
    let nginx = move |at: &str| {
        let (listen, file) = match at.strip_prefix('/') {
            Some(_) => (format!("unix:{at}"), "nginx-losses-unix.conf"),
            None => (format!("127.0.0.1:{at}"), "nginx-losses-tcp.conf"),
        };
        fs::write(dir.join(file), nginx_conf(dir, file, &listen))?;
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(dir).arg("-c").arg(dir.join(file));
        Ok(command)
    };
    Ok(vec![("python", Box::new(plain)), ("gunicorn", Box::new(gunicorn)), ("nginx", Box::new(nginx))])
}

/// A configuration that answers `/v/N` with the status 400 + N.
fn nginx_conf(dir: &Path, name: &str, listen: &str) -> String {
    let numbers = (0..NUMBERS).map(|n| format!("location = /v/{n} {{ return {} ok; }}\n", 400 + n));
    let (locations, dir) = (numbers.collect::<String>(), dir.display());
    format!(
        "user root; daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log stderr;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {dir}/{name}-body;\n\
         server {{ listen {listen};\n{locations}}} }}\n"
    )
}

fn tcp(name: &str, protocol: &'static str, port: u16) -> Place {
    Place { name: named(name, protocol, "TCP"), protocol, at: port.to_string() }
}

fn unix(name: &str, protocol: &'static str, path: &Path) -> Place {
    Place { name: named(name, protocol, "Unix"), protocol, at: path.display().to_string() }
}

fn named(name: &str, protocol: &str, socket: &str) -> String {
    if name == protocol { format!("{name}, {socket}") } else { format!("{protocol} ({name}), {socket}") }
}
