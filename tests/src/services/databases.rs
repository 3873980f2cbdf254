//! PostgreSQL, MariaDB, Redis and memcached, with settings that are quick and keep nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Program, START};
use crate::scene::Scene;
use crate::services::tls;
use crate::wait;

/// A running database.
pub struct Database {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

/// Where Debian keeps PostgreSQL's programs, of the newest version.
pub fn postgres_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|entry| entry.path().join("bin")).max().expect("postgresql is installed")
}

impl Database {
    /// PostgreSQL with the databases `shop` and `postgres`, for the user `app` without a password.
    pub fn postgres(scene: &Scene) -> Self {
        Self::postgres_with(scene, |_| Vec::new())
    }

    /// The same, which can be asked by TLS.
    pub fn postgres_secure(scene: &Scene) -> Self {
        tls::certificate(scene);
        Self::postgres_with(scene, |home| {
            // It takes no key that others may read.
            let own = |name: &str| {
                let copy = home.join(name);
                succeeds(
                    Command::new("install")
                        .args(["-m", "600", "-o", "postgres"])
                        .args([&scene.dir().join(name), &copy]),
                );
                copy.display().to_string()
            };
            let (certificate, key) = (own("cert.pem"), own("key.pem"));
            vec!["ssl=on".to_owned(), format!("ssl_cert_file={certificate}"), format!("ssl_key_file={key}")]
        })
    }

    fn postgres_with(scene: &Scene, settings: impl Fn(&Path) -> Vec<String>) -> Self {
        let port = scene.port();
        let home = home(scene, "postgres", port);
        let (bin, data) = (postgres_programs(), home.join("data"));
        let mut initdb = as_user("postgres", bin.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-A", "trust", "-U", "app", "-E", "UTF8", "--no-sync", "--no-instructions"]);
        succeeds(&mut initdb);
        let mut command = as_user("postgres", bin.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        let sockets = format!("unix_socket_directories={}", home.display());
        for setting in ["listen_addresses=127.0.0.1", &sockets, "fsync=off", "autovacuum=off", "shared_buffers=16MB"] {
            command.args(["-c", setting]);
        }
        for setting in settings(&home) {
            command.args(["-c", &setting]);
        }
        let program = Program::start(&format!("postgres-{port}"), scene.dir(), &mut command).listens_on(port);
        let sql = |database: &str, text: &str| {
            let mut psql = Command::new(bin.join("psql"));
            psql.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "app", "-d", database, "-qc", text]);
            psql
        };
        patiently(|| sql("postgres", "CREATE DATABASE shop"));
        succeeds(&mut sql("shop", "CREATE TABLE orders (id int PRIMARY KEY, name text)"));
        Self { program, port }
    }

    /// MariaDB with the database `shop`, for the user `app` with the password `hunter2`.
    pub fn mariadb(scene: &Scene) -> Self {
        let port = scene.port();
        let home = home(scene, "mysql", port);
        let (data, socket) = (home.join("data"), home.join("my.sock"));
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=normal"]);
        succeeds(install.arg(format!("--datadir={}", data.display())));
        let mut command = as_user("mysql", "mariadbd");
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
        command.args(["--performance-schema=off", "--innodb-buffer-pool-size=16M", &format!("--port={port}")]);
        command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        command.arg(format!("--pid-file={}", home.join("pid").display()));
        let program = Program::start(&format!("mariadbd-{port}"), scene.dir(), &mut command).listens_on(port);
        patiently(|| {
            let mut client = Command::new("mariadb");
            client.args(["--no-defaults", "-u", "root", &format!("--socket={}", socket.display()), "-e"]);
            client.arg(
                "CREATE DATABASE shop; CREATE TABLE shop.stock (id int PRIMARY KEY, name text); \
                 GRANT ALL ON shop.* TO app@'127.0.0.1' IDENTIFIED BY 'hunter2'",
            );
            client
        });
        Self { program, port }
    }

    /// Redis, which writes nothing to disk.
    pub fn redis(scene: &Scene) -> Self {
        let port = scene.port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
        command.arg("--dir").arg(scene.dir());
        let program = Program::start(&format!("redis-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// memcached.
    pub fn memcached(scene: &Scene) -> Self {
        let port = scene.port();
        let mut command = Command::new("memcached");
        command.args(["-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-t", "2", "-p", &port.to_string()]);
        let program = Program::start(&format!("memcached-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }
}

/// A directory that belongs to `user`.
fn home(scene: &Scene, user: &str, port: u16) -> PathBuf {
    let home = scene.dir().join(format!("{user}-{port}"));
    fs::create_dir(&home).expect("a database's directory");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).expect("a directory that its user may write to");
    home
}

/// Servers refuse to run as root.
fn as_user(user: &str, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]).arg(program.as_ref()).current_dir("/");
    command
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A server that listens may still be starting.
fn patiently(command: impl Fn() -> Command) {
    if !wait::until_true(START, || command().output().is_ok_and(|output| output.status.success())) {
        succeeds(&mut command());
    }
}
