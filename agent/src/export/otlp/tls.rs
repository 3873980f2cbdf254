//! The connector that both transports use: TCP, and TLS if the endpoint says `https`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, RootCertStore};

use super::own::Connector;
use crate::config::otlp::{OtlpConfig, Protocol, TlsFiles};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("cannot read {what} from {}: {source}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A PEM file holds no certificate.
    #[error("{} holds no PEM certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The system trusts nobody.
    #[error("no trusted certificates on this system: install ca-certificates or set OTEL_EXPORTER_OTLP_CERTIFICATE")]
    NoRoots,
    /// The TLS library refuses what the files hold.
    #[error("the TLS certificates cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The longest that a TCP connection may take to open; a whole request is bounded by the configured timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connector for the configured endpoint.
pub(super) fn connector(config: &OtlpConfig) -> Result<HttpsConnector<Connector>, TlsError> {
    let encrypted = config.endpoint.scheme_str() == Some("https");
    match config.protocol {
        Protocol::HttpProtobuf => connector_to(&config.tls, encrypted),
        Protocol::Grpc => {
            let tls = client_config(&config.tls, encrypted)?;
            Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http2().wrap_connector(tcp()))
        }
    }
}

/// A connector that speaks what the other end prefers.
pub(crate) fn connector_to(tls: &TlsFiles, encrypted: bool) -> Result<HttpsConnector<Connector>, TlsError> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(client_config(tls, encrypted)?).https_or_http();
    Ok(builder.enable_http1().enable_http2().wrap_connector(tcp()))
}

fn tcp() -> Connector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Connector(tcp)
}

fn client_config(files: &TlsFiles, encrypted: bool) -> Result<ClientConfig, TlsError> {
    // Named explicitly: a process-wide default would be somebody else's to choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    if !encrypted {
        // Never used, so nothing is read for it: the system's roots take megabytes.
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let builder = builder.with_root_certificates(roots(files.certificate.as_deref())?);
    Ok(match &files.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|source| TlsError::File {
                what: "the client's private key",
                path: identity.key.clone(),
                source,
            })?;
            builder.with_client_auth_cert(certificates(&identity.certificate)?, key)?
        }
    })
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = file {
        for certificate in certificates(path)? {
            roots.add(certificate)?;
        }
        return Ok(roots);
    }
    // Single unreadable certificates of the system are its own affair, as long as some are left.
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File { what: "certificates", path: path.to_owned(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(file)?.collect::<Result<_, _>>().map_err(file)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}
