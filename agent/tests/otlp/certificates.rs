//! A certificate authority made for one test.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Authority {
    /// `name` tells the files of tests apart that run at the same time.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = std::env::temp_dir().join(format!("wirespan-otlp-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self { certificate, issuer: Issuer::new(params, key), directory }
    }

    /// The authority's own certificate, in a file.
    pub fn certificate_file(&self) -> PathBuf {
        self.file("ca.pem", &self.certificate.pem())
    }

    /// A client's certificate and key, in files.
    pub fn client_files(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.issue("client");
        (self.file("client.pem", &certificate.pem()), self.file("client.key", &key.serialize_pem()))
    }

    /// A server on localhost; with `clients`, one that wants a certificate of this authority.
    pub fn server(&self, clients: bool) -> ServerConfig {
        let (certificate, key) = self.issue("localhost");
        let provider = Arc::new(crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if clients {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        builder.with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into())).unwrap()
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // Files in the temporary directory that cannot be removed hurt nobody.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
