//! Proxies of which Debian's packages bring TLS: HAProxy, and Apache with `mod_ssl`. Each speaks it to both sides.

use std::fs;
use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::tls::{Secure, certificate};

/// HAProxy: passes each request on to `localhost:downstream`.
pub fn haproxy(scene: &Scene, downstream: u16) -> Secure {
    certificate(scene);
    let (port, dir) = (scene.port(), scene.dir());
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| fs::read_to_string(dir.join(name)).expect("a certificate"));
    fs::write(dir.join("both.pem"), cert + &key).expect("HAProxy's certificate");
    let both = dir.join("both.pem").display().to_string();
    let configuration = format!(
        "global\n  maxconn 512\n  nbthread 2\n\
         defaults\n  mode http\n  timeout connect 20s\n  timeout client 60s\n  timeout server 60s\n\
         frontend front\n  bind 127.0.0.1:{port} ssl crt {both} alpn h2,http/1.1\n  default_backend back\n\
         backend back\n  server one 127.0.0.1:{downstream} ssl verify none sni str(localhost)\n"
    );
    let path = dir.join("haproxy.cfg");
    fs::write(&path, configuration).expect("HAProxy's configuration");
    let mut command = Command::new("/usr/sbin/haproxy");
    // One process, in the foreground.
    command.arg("-db").arg("-f").arg(&path);
    let program = Program::start(&format!("haproxy-{port}"), dir, &mut command).listens_on(port);
    Secure { program, port }
}

/// Apache's threads: passes each request on to `localhost:downstream`.
pub fn apache(scene: &Scene, downstream: u16) -> Secure {
    certificate(scene);
    let (port, dir) = (scene.port(), scene.dir());
    let modules = ["mpm_event", "authz_core", "proxy", "proxy_http", "socache_shmcb", "ssl"];
    let modules = modules.map(|m| format!("LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n")).concat();
    let at = dir.display();
    let configuration = format!(
        "{modules}ServerName localhost\nListen 127.0.0.1:{port}\nPidFile {at}/apache.pid\nErrorLog {at}/apache.log\n\
         Mutex pthread\nSSLEngine on\nSSLCertificateFile {at}/cert.pem\nSSLCertificateKeyFile {at}/key.pem\n\
         SSLProxyEngine on\nSSLProxyVerify none\nSSLProxyCheckPeerName off\n\
         ProxyPass / https://localhost:{downstream}/ timeout=20\n"
    );
    let path = dir.join("apache.conf");
    fs::write(&path, configuration).expect("Apache's configuration");
    let mut command = Command::new("/usr/sbin/apache2");
    // One process, in the foreground.
    command.arg("-X").arg("-f").arg(&path).env("OTEL_SERVICE_NAME", "apache");
    let program = Program::start(&format!("apache-{port}"), dir, &mut command).listens_on(port);
    Secure { program, port }
}
