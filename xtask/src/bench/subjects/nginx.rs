//! nginx with one worker and a file of one byte short of 64: the worst case for an agent, for there is nothing else to do.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{Load, Subject};
use crate::bench::mark::mark;
use crate::bench::server::{Place, Server, get};
use crate::services;

/// Loopback addresses that it listens on: more than one, or a churn of connections would use up the client's ports.
pub const ADDRESSES: u8 = 4;

pub const SUBJECT: Subject = Subject {
    key: "nginx",
    title: "nginx, tiny static file",
    start,
    load: Load::Http,
    connections: 16,
    rate: Some(5_000.0),
    pinned: true,
    mark: None,
    spans: true,
    aim: Some(0.90),
    short: true,
};

/// Starts it.
pub fn start() -> Result<Server> {
    let place = Place::new("nginx")?;
    let port = place.address.port();
    let listen: String = (1..=ADDRESSES).map(|n| format!("listen 127.0.0.{n}:{port} backlog=4096; ")).collect();
    serve(place, &listen, 63, |address| get(address, mark()).map(drop))
}

/// Starts one that listens as `listen` says, with a file of so many bytes at [`mark`].
pub fn serve(place: Place, listen: &str, bytes: usize, answers: impl Fn(SocketAddr) -> Result<()>) -> Result<Server> {
    place.write(&format!("site{}", mark()), vec![b'x'; bytes])?;
    let home = place.folder.display();
    let config = format!(
        "daemon off; user root; pid {home}/pid; error_log {home}/error; worker_processes 1; worker_cpu_affinity 1; worker_rlimit_nofile 15000;\n\
         events {{ worker_connections 14000; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600;\n\
         client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;\n\
         uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;\n\
         server {{ {listen} location / {{ root {home}/site; }} location = /status {{ stub_status; }} }} }}\n"
    );
    let file = place.write("nginx.conf", config)?;
    let mut command = super::pinned(services::find("nginx").context("nginx is not installed")?);
    command.arg("-p").arg(&place.folder).arg("-c").arg(&file).arg("-e").arg(place.folder.join("error"));
    Server::start(command, place, answers)
}

/// Requests that it has answered, from its own count, our question included.
pub fn answered(server: &Server) -> Result<u64> {
    // Three lines: "Active connections: …", "server accepts handled requests", " 1 1 1 ".
    let page = get(server.address, "/status")?;
    let line = page.lines().skip_while(|line| !line.contains("handled requests")).nth(1);
    let requests = line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    requests.with_context(|| format!("nginx's status page is unlike what it was: {page}"))
}
