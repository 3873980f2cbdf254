//! RabbitMQ, and dnsmasq in a network namespace of its own.

use std::fs;
use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::tls;

/// A running RabbitMQ: it takes long to start, so a test does all that it has to do with one.
pub struct RabbitMq {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
    /// Erlang's port mapper, which the broker would otherwise start and leave behind. It goes last.
    _mapper: Program,
}

impl RabbitMq {
    /// One node without plug-ins, for the user `guest`.
    pub fn start(scene: &Scene) -> Self {
        Self::configured(scene, "")
    }

    /// The same, which also speaks TLS, at the port that is returned too.
    pub fn start_secure(scene: &Scene) -> (Self, u16) {
        tls::certificate(scene);
        let (dir, port) = (scene.dir().display(), scene.port());
        let lines = format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {dir}/cert.pem\n\
             ssl_options.certfile = {dir}/cert.pem\nssl_options.keyfile = {dir}/key.pem\n\
             ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n"
        );
        (Self::configured(scene, &lines), port)
    }

    /// With these lines of its configuration.
    fn configured(scene: &Scene, lines: &str) -> Self {
        let (port, distribution, mapper_port) = (scene.port(), scene.port(), scene.port());
        let home = scene.dir().join(format!("rabbitmq-{port}"));
        fs::create_dir(&home).expect("RabbitMQ's directory");
        fs::write(home.join("plugins"), "[].\n").expect("the list of plug-ins");
        let mut mapper = Command::new("epmd");
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()]);
        let mapper = Program::start("epmd", scene.dir(), &mut mapper).listens_on(mapper_port);
        let versions = fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
        let newest = versions.map(|entry| entry.path()).max().expect("rabbitmq-server is installed");
        let mut command = Command::new(newest.join("sbin/rabbitmq-server"));
        command.env("HOME", &home).env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", mapper_port.to_string());
        command.env("RABBITMQ_NODENAME", format!("wirespan{port}@localhost"));
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port.to_string());
        command.env("RABBITMQ_DIST_PORT", distribution.to_string());
        command.env("RABBITMQ_MNESIA_BASE", home.join("mnesia")).env("RABBITMQ_LOG_BASE", home.join("log"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"));
        fs::write(home.join("rabbitmq.conf"), lines).expect("RabbitMQ's configuration");
        command.env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"));
        // Threads of Erlang that wait in a loop would take the processors from everything else.
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
        let program = Program::start(&format!("rabbitmq-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port, _mapper: mapper }
    }
}

/// A running dnsmasq, which is asked by everything in its namespace.
pub struct Dnsmasq {
    /// The process.
    pub program: Program,
}

impl Dnsmasq {
    /// Answers for `name` with 192.0.2.7, and knows no other name.
    pub fn start(scene: &Scene, name: &str) -> Self {
        fs::write(scene.dir().join("resolv.conf"), "nameserver 127.0.0.1\n").expect("resolv.conf");
        let script = format!(
            "set -e; ip link set lo up
            mount --bind resolv.conf /etc/resolv.conf
            exec dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= \
            --local=/test/ --address=/{name}/192.0.2.7 --listen-address=127.0.0.1 --bind-interfaces --log-facility=-"
        );
        let mut command = Command::new("unshare");
        command.current_dir(scene.dir()).args(["--net", "--mount", "sh", "-c", &script]);
        let answers = |program: &Program| program.log().contains("started");
        Self { program: Program::start("dnsmasq", scene.dir(), &mut command).ready("answer", answers) }
    }

    /// A command inside the namespace.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.program.pid().to_string(), program]);
        command
    }
}
