//! TLS, with certificates made for the test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wirespan_agent::config::otlp::{ClientIdentity, OtlpConfig, Protocol, TlsFiles};
use wirespan_agent::export::{ExportSettings, Exporters};
use wirespan_agent::metrics::Counters;

use crate::certificates::Authority;
use crate::receiver::Receiver;
use crate::{Agent, config, quick, runtime, until};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

#[test]
fn a_receiver_whose_certificate_is_trusted_gets_the_spans() {
    let authority = Authority::new("trusted");
    for protocol in BOTH {
        let receiver = Receiver::start_tls(protocol, authority.server(false));
        let tls = TlsFiles { certificate: Some(authority.certificate_file()), identity: None };
        let agent = Agent::start(OtlpConfig { tls, ..config(protocol, "https", receiver.address.port()) }, quick());
        agent.export(1000);
        agent.stop();
        assert_eq!(receiver.span_ids().len(), 1000);
    }
}

#[test]
fn a_receiver_whose_certificate_is_not_trusted_gets_nothing() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    for protocol in BOTH {
        let receiver = Receiver::start_tls(protocol, stranger.server(false));
        let tls = TlsFiles { certificate: Some(authority.certificate_file()), identity: None };
        let agent = Agent::start(OtlpConfig { tls, ..config(protocol, "https", receiver.address.port()) }, quick());
        agent.export(10);
        until("the certificate is refused", || agent.counters.export_failures.get() > 0);
        assert_eq!(agent.exporters.shutdown(Instant::now() + Duration::from_millis(100)).otlp, 10);
        assert!(receiver.seen().is_empty());
    }
}

#[test]
fn a_receiver_that_wants_a_client_certificate_gets_it() {
    let authority = Authority::new("mutual");
    let (certificate, key) = authority.client_files();
    for protocol in BOTH {
        let receiver = Receiver::start_tls(protocol, authority.server(true));
        let identity = Some(ClientIdentity { certificate: certificate.clone(), key: key.clone() });
        let tls = TlsFiles { certificate: Some(authority.certificate_file()), identity };
        let agent = Agent::start(OtlpConfig { tls, ..config(protocol, "https", receiver.address.port()) }, quick());
        agent.export(1000);
        agent.stop();
        assert_eq!(receiver.span_ids().len(), 1000);
    }
}

#[test]
fn certificates_that_cannot_be_read_stop_the_start_with_a_sentence() {
    let authority = Authority::new("unreadable");
    let empty = authority.certificate_file().with_file_name("empty.pem");
    std::fs::write(&empty, "nothing here\n").unwrap();
    let missing = authority.certificate_file().with_file_name("missing.pem");
    let runtime = runtime();
    for (file, says) in [(&missing, "cannot read certificates from"), (&empty, "holds no PEM certificate")] {
        let tls = TlsFiles { certificate: Some(file.clone()), identity: None };
        let otlp = Some(OtlpConfig { tls, ..config(Protocol::Grpc, "https", 4317) });
        let settings = ExportSettings { otlp, ..ExportSettings::default() };
        let started = Exporters::start(settings, Arc::new(Counters::default()), runtime.handle());
        let error = started.err().expect("no start").to_string();
        assert!(error.contains(says) && error.contains(file.to_str().unwrap()), "{error}");
    }
}
