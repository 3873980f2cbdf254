//! Who sends the files: nginx in its ways, and Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use wirespan_tests::program::Program;
use wirespan_tests::{python, wait};

use crate::harmless::check::write;
use crate::harmless::process;

/// Who sends; all of them serve the same folder.
pub struct Servers {
    nginx: [u16; 4],
    bodies: u16,
    splicer: u16,
    _programs: Vec<Program>,
}

impl Servers {
    /// Starts them on free ports.
    pub fn start(folder: &Path) -> Result<Self> {
        let nginx = [wait::free_port(), wait::free_port(), wait::free_port(), wait::free_port()];
        let (bodies, splicer) = (wait::free_port(), wait::free_port());
        let certificate = certificate(folder)?;
        let conf = folder.join("nginx.conf");
        write(&conf, configuration(folder, nginx, bodies, &certificate))?;
        write(&folder.join("bodies.py"), include_str!("../programs/bodies.py"))?;
        write(&folder.join("splicer.py"), include_str!("../../../../tests/services/splicer.py"))?;
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&conf);
        let mut programs = vec![Program::start("nginx", folder, &mut command)];
        for port in nginx {
            programs = programs.into_iter().map(|program| program.listens_on(port)).collect();
        }
        for (script, port) in [("bodies.py", bodies), ("splicer.py", splicer)] {
            let mut command = Command::new(python::system());
            command.current_dir(folder).args([script, &port.to_string()]);
            programs.push(Program::start(script, folder, &mut command).listens_on(port));
        }
        Ok(Self { nginx, bodies, splicer, _programs: programs })
    }

    /// The ways of a download: name and base URL.
    pub fn ways(&self) -> Vec<(&'static str, String)> {
        let [sendfile, copied, tls, proxy] = self.nginx;
        vec![
            ("nginx sendfile", format!("http://127.0.0.1:{sendfile}")),
            ("nginx without sendfile", format!("http://127.0.0.1:{copied}")),
            ("nginx TLS", format!("https://127.0.0.1:{tls}")),
            ("nginx proxy of chunks", format!("http://127.0.0.1:{proxy}")),
            ("nginx proxy of chunks unbuffered", format!("http://127.0.0.1:{proxy}/unbuffered")),
            ("Python chunked", format!("http://127.0.0.1:{}", self.bodies)),
            ("Python sendfile", format!("http://127.0.0.1:{}/sendfile", self.bodies)),
            ("Python splice", format!("http://127.0.0.1:{}", self.splicer)),
        ]
    }

    /// Where an upload goes: through the proxy if its name says so.
    pub fn uploads(&self, way: &str) -> String {
        let port = if way.contains("proxy") { self.nginx[3] } else { self.bodies };
        format!("http://127.0.0.1:{port}/upload")
    }
}

fn certificate(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("tls.pem");
    if !path.exists() {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "30", "-subj", "/CN=127.0.0.1", "-keyout"]).arg(folder.join("tls.key"));
        command.arg("-out").arg(folder.join("tls.crt"));
        process::run(&mut command, &folder.join("openssl.log"), super::LIMIT)?.well("openssl")?;
        write(&path, [fs::read(folder.join("tls.crt"))?, fs::read(folder.join("tls.key"))?].concat())?;
    }
    Ok(path)
}

fn configuration(folder: &Path, ports: [u16; 4], bodies: u16, certificate: &Path) -> String {
    let [sendfile, copied, tls, proxy] = ports;
    let (home, pem) = (folder.display(), certificate.display());
    format!(
        "user root;
daemon off;
worker_processes 2;
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    root {home};
    client_max_body_size 0;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection '';
    server {{ listen 127.0.0.1:{sendfile}; sendfile on; tcp_nopush on; }}
    server {{ listen 127.0.0.1:{copied}; sendfile off; output_buffers 2 32k; }}
    server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; }}
    server {{
        listen 127.0.0.1:{proxy};
        location / {{ proxy_pass http://127.0.0.1:{bodies}; }}
        location /unbuffered/ {{ proxy_pass http://127.0.0.1:{bodies}/; proxy_buffering off; }}
    }}
}}
"
    )
}
