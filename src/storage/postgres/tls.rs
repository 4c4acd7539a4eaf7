//! TLS to the database, as `sslmode` says. Source: PostgreSQL 17 manual, "Protection provided in different modes".

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// Nothing: who can change packets can read them. What `prefer` and `require` mean everywhere.
    Nothing,
    /// That a trusted authority signed it (`verify-ca`).
    Authority,
    /// That, and that it is for this host (`verify-full`).
    AuthorityAndName,
}

/// Precondition for [`Checked::Nothing`]: `roots` is not looked at.
pub(super) fn connector(
    checked: Checked,
    roots: Option<&Path>,
) -> Result<MakeRustlsConnect, String> {
    let builder = ClientConfig::builder();
    let config = match checked {
        Checked::AuthorityAndName => builder.with_root_certificates(trusted(roots)?),
        Checked::Authority => {
            let authority = WebPkiServerVerifier::builder(Arc::new(trusted(roots)?))
                .build()
                .map_err(|err| err.to_string())?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName::new(Some(authority))))
        }
        Checked::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName::new(None))),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// The certificates of that file, else the system's.
fn trusted(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = file {
        let unreadable = |err: &dyn Display| format!("sslrootcert {}: {err}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|err| unreadable(&err))? {
            let certificate = certificate.map_err(|err| unreadable(&err))?;
            roots.add(certificate).map_err(|err| unreadable(&err))?;
        }
        if roots.is_empty() {
            return Err(unreadable(&"holds no certificate"));
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// Checks less than TLS usually does, because the operator said so.
#[derive(Debug)]
struct AnyName {
    /// `None`: any certificate will do.
    authority: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyName {
    fn new(authority: Option<Arc<WebPkiServerVerifier>>) -> Self {
        Self {
            authority,
            algorithms: default_provider().signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last: this error says that the rest was right.
        match authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
