//! What a gRPC call must look like, by the OpenTelemetry semantic conventions (RPC spans).

use crate::expect::{Expected, Want};
use crate::span::Kind;

/// A call between two programs.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Caller and callee, by `service.name`.
    pub between: (&'a str, &'a str),
    /// Where the callee listens, on 127.0.0.1.
    pub port: u16,
    /// `package.Service/Method`.
    pub method: &'a str,
    /// The status, by name.
    pub code: &'a str,
    /// Messages sent and received, where both must be known.
    pub messages: Option<(i64, i64)>,
}

impl Call<'_> {
    /// The caller's span with the callee's below.
    pub fn joined(&self) -> Expected {
        self.client().child(self.server())
    }

    /// The caller's span. It failed unless the status is OK.
    pub fn client(&self) -> Expected {
        let span = self.end(self.between.0, Kind::Client).with("network.peer.port", self.port);
        if self.code == "OK" { span } else { span.failed(self.code) }
    }

    /// The callee's span. It failed if the status is the server's fault.
    pub fn server(&self) -> Expected {
        let span = self.end(self.between.1, Kind::Server);
        let span = span.with("client.address", "127.0.0.1").with("network.peer.port", Want::Port);
        let faults = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
        if faults.contains(&self.code) { span.failed(self.code) } else { span }
    }

    fn end(&self, service: &str, kind: Kind) -> Expected {
        let count = |n: Option<i64>| n.map_or(Want::Optional, Want::from);
        Expected::new(service, kind, self.method)
            .with("rpc.system.name", "grpc")
            .with("rpc.method", self.method)
            .with("rpc.response.status_code", self.code)
            .with("server.address", "127.0.0.1")
            .with("server.port", self.port)
            .with("network.protocol.name", "http")
            .with("network.protocol.version", "2")
            .with("network.peer.address", "127.0.0.1")
            .with("wirespan.rpc.request.messages", count(self.messages.map(|it| it.0)))
            .with("wirespan.rpc.response.messages", count(self.messages.map(|it| it.1)))
    }
}
