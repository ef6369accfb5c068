//! Which certificates are trusted.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use gristmill_stage::{Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::options::FetchOptions;

/// The TLS side of the client. The provider of the cryptography is passed in, so nothing global is
/// installed.
///
/// # Errors
/// When the file of certificates cannot be used.
pub(crate) fn config(options: &FetchOptions) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = match &options.ca_file {
        Some(path) => certificates(path)?,
        None => Vec::new(),
    };
    let trust = if options.verify_tls {
        Trust::Machine { roots, verifier: OnceLock::new() }
    } else {
        Trust::Anyone
    };
    let check = Check { provider: Arc::clone(&provider), trust };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal(format!("TLS cannot be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check))
        .with_no_client_auth();
    config.alpn_protocols = match options.http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |what: String| {
        Error::option("ca_file", format!("{}: {what}", path.display()))
            .help("it must be a PEM file with at least one certificate")
    };
    let text = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(format!("is not PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    // What the verifier would refuse is said now and not at the first request.
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|e| wrong(e.to_string()))?;
    }
    Ok(certificates)
}

enum Trust {
    /// Whom the machine trusts, and these. Loaded at the first handshake: many runs never make one,
    /// and a machine without any certificates can still use plain HTTP.
    Machine {
        roots: Vec<CertificateDer<'static>>,
        verifier: OnceLock<Result<Verifier, rustls::Error>>,
    },
    /// Everybody.
    Anyone,
}

/// Checks the certificate of a server.
struct Check {
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Machine { roots, verifier } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let verifier = verifier.get_or_init(|| {
            Verifier::new_with_extra_roots(roots.iter().cloned(), Arc::clone(&self.provider))
        });
        match verifier {
            Ok(verifier) => verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            Err(error) => Err(error.clone()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
