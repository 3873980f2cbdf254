//! The programs that answer, and where they listen: each over TCP and over a Unix socket.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use wirespan_tests::program::Program;
use wirespan_tests::python;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;

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
    _programs: Vec<Program>,
}

impl Places {
    /// Starts all.
    pub fn start(scene: &Scene) -> Result<Self> {
        let (postgres, mariadb) = (Database::postgres(scene), Database::mariadb(scene));
        let (redis, memcached) = (Database::redis(scene), Database::memcached(scene));
        let dir = scene.dir();
        let mut all = vec![
            tcp("postgresql", postgres.port),
            // The name of the socket ends in the port, which the driver is told apart.
            unix("postgresql", dir.join(format!("postgres-{0}/.s.PGSQL.{0}", postgres.port))),
            tcp("mariadb", mariadb.port),
            unix("mariadb", dir.join(format!("mysql-{}/my.sock", mariadb.port))),
            tcp("redis", redis.port),
            tcp("memcached", memcached.port),
        ];
        let mut programs = Vec::new();
        let mut at_path = |protocol: &'static str, command: &mut Command, path: PathBuf| -> Result<()> {
            let program = Program::try_start(&format!("{protocol}-unix"), dir, command)?.listens_at(&path);
            programs.push(program);
            all.push(unix(protocol, path));
            Ok(())
        };
        let sockets = dir.join("sockets");
        fs::create_dir(&sockets)?;
        fs::set_permissions(&sockets, Permissions::from_mode(0o777))?;
        let path = sockets.join("redis");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&path).current_dir(dir);
        at_path("redis", &mut command, path)?;
        let path = sockets.join("memcached");
        let mut command = Command::new("memcached");
        command.args(["-u", "nobody", "-a", "777", "-t", "2", "-s"]).arg(&path);
        at_path("memcached", &mut command, path)?;
        let script = dir.join("http_server.py");
        fs::write(&script, include_str!("http_server.py"))?;
        let server = |at: &str| {
            let mut command = Command::new(python::bin("python"));
            command.arg(&script).arg(at);
            command
        };
        let path = sockets.join("http");
        at_path("http", &mut server(&path.display().to_string()), path.clone())?;
        let port = scene.port();
        programs.push(Program::try_start("http", dir, &mut server(&port.to_string()))?.listens_on(port));
        all.push(tcp("http", port));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { all, _databases: vec![postgres, mariadb, redis, memcached], _programs: programs })
    }

    /// All of them.
    pub fn all(&self) -> &[Place] {
        &self.all
    }
}

fn tcp(protocol: &'static str, port: u16) -> Place {
    Place { name: format!("{protocol}, TCP"), protocol, at: port.to_string() }
}

fn unix(protocol: &'static str, path: PathBuf) -> Place {
    Place { name: format!("{protocol}, Unix"), protocol, at: path.display().to_string() }
}
