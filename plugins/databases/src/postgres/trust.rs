//! Which servers are trusted.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use gristmill_stage::{Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// The TLS side. With `verify` the server must prove who it is; without, the connection is only
/// encrypted, as PostgreSQL's own programs have it with `sslmode=prefer`: who can change what is on
/// its way could as well say that the server has no TLS.
pub(super) fn config(verify: bool, ca_file: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = ca_file.map_or(Ok(Vec::new()), certificates)?;
    let verify = verify || ca_file.is_some();
    let check = Check { provider: provider.clone(), roots, verify, verifier: OnceLock::new() };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal(format!("TLS cannot be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check))
        .with_no_client_auth())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |what: &dyn std::fmt::Display| {
        Error::option("ca_file", format!("{}: {what}", path.display()))
            .help("it must be a PEM file with at least one certificate")
    };
    let text = std::fs::read(path).map_err(|e| wrong(&e))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates.map_err(|e| wrong(&e))? {
        none if none.is_empty() => Err(wrong(&"it holds no certificate")),
        some => Ok(some),
    }
}

#[derive(Debug)]
struct Check {
    provider: Arc<CryptoProvider>,
    roots: Vec<CertificateDer<'static>>,
    verify: bool,
    /// Loaded at the first handshake: most connections never make one.
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.verify {
            return Ok(ServerCertVerified::assertion());
        }
        let load =
            || Verifier::new_with_extra_roots(self.roots.iter().cloned(), self.provider.clone());
        let verifier = self.verifier.get_or_init(load).as_ref().map_err(Clone::clone)?;
        verifier.verify_server_cert(end, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
