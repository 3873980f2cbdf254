//! nginx, with the configuration that the test writes.

use std::fs;
use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;

/// A running nginx: one master, some workers.
pub struct Nginx {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
    access_log: std::path::PathBuf,
}

/// What a configuration says beside the `location`s of its only server.
pub struct Settings<'a> {
    /// Worker processes.
    pub workers: usize,
    /// Blocks of the `http` level, such as `upstream`.
    pub http: &'a str,
    /// Lines of the `server` level, such as `location`.
    pub server: &'a str,
}

impl Nginx {
    /// nginx with one worker that passes everything to `upstream` (`host:port` or `unix:/path`).
    pub fn proxy(scene: &Scene, upstream: &str) -> Self {
        let server = format!("location / {{ proxy_pass http://{upstream}; }}");
        Self::start(scene, &Settings { workers: 1, http: "", server: &server })
    }

    /// nginx with one worker that serves the files in `<dir>/www`.
    pub fn files(scene: &Scene) -> Self {
        fs::create_dir_all(scene.dir().join("www")).expect("the document root");
        Self::start(scene, &Settings { workers: 1, http: "", server: "location / { root www; }" })
    }

    /// nginx.
    pub fn start(scene: &Scene, settings: &Settings<'_>) -> Self {
        Self::listening(scene, settings, "")
    }

    /// nginx that speaks HTTPS, by HTTP/1.1 or 2.
    pub fn start_secure(scene: &Scene, settings: &Settings<'_>) -> Self {
        Self::listening(scene, settings, " ssl http2")
    }

    fn listening(scene: &Scene, settings: &Settings<'_>, how: &str) -> Self {
        let port = scene.port();
        let home = scene.dir().join(format!("nginx-{port}"));
        fs::create_dir_all(&home).expect("nginx's directory");
        let access_log = home.join("access.log");
        fs::write(home.join("nginx.conf"), configuration(scene, port, settings, how)).expect("nginx.conf");
        let mut command = Command::new("nginx");
        command.arg("-e").arg("stderr").arg("-p").arg(scene.dir()).arg("-c").arg(home.join("nginx.conf"));
        let program = Program::start(&format!("nginx-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port, access_log }
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// One line for each request that it finished: `<status> <seconds> <target>`.
    pub fn access_log(&self) -> Vec<String> {
        fs::read_to_string(&self.access_log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn configuration(scene: &Scene, port: u16, settings: &Settings<'_>, how: &str) -> String {
    let Settings { workers, http, server } = settings;
    let home = scene.dir().join(format!("nginx-{port}"));
    let home = home.display();
    format!(
        "user root;
daemon off;
worker_processes {workers};
pid {home}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    log_format timed '$status $request_time $request_uri';
    access_log {home}/access.log timed;
    sendfile on;
    keepalive_requests 1000000;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096{how};
        {server}
    }}
}}
"
    )
}
