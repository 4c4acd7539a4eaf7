//! Whom a server is believed by, over TLS, and who we are.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deadpool_redis::redis::{ClientTlsConfig, TlsCertificates};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_native_certs::load_native_certs;
use thiserror::Error;

use crate::config::RedisTls;

/// Why a file of `redis_ssl_*` is of no use.
#[derive(Debug, Error)]
#[error("`redis_{key}`: {path}: {reason}")]
pub struct TlsFileError {
    key: &'static str,
    path: PathBuf,
    reason: String,
}

/// The files' contents; without any, the authorities that this system trusts. The driver takes Mozilla's where there are none.
///
/// # Errors
/// The file that cannot be read, or does not hold what it should.
pub(super) fn certificates(tls: &RedisTls) -> Result<TlsCertificates, TlsFileError> {
    let root_cert = match &tls.authorities {
        Some(path) => Some(read("ssl_ca_certs", path, authorities)?),
        None => of_the_system(),
    };
    let client_tls = match &tls.own {
        Some((certificate, key)) => Some(ClientTlsConfig {
            client_cert: read("ssl_certfile", certificate, |pem| {
                certificates_in(pem).map(drop)
            })?,
            client_key: read("ssl_keyfile", key, key_in)?,
        }),
        None => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}

/// A file, if it holds what `check` looks for.
fn read(
    key: &'static str,
    path: &Path,
    check: fn(&[u8]) -> Result<(), String>,
) -> Result<Vec<u8>, TlsFileError> {
    let wrong = |reason: String| TlsFileError {
        key,
        path: path.to_owned(),
        reason,
    };
    let pem = fs::read(path).map_err(|err| wrong(err.to_string()))?;
    check(&pem).map_err(wrong)?;
    Ok(pem)
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|err| err.to_string())?;
    if found.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(found)
}

fn authorities(pem: &[u8]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(pem)? {
        let added = roots.add(certificate);
        added.map_err(|err| err.to_string())?;
    }
    Ok(())
}

/// What is wrong is not repeated: it would be a piece of the key.
fn key_in(pem: &[u8]) -> Result<(), String> {
    let found = PrivateKeyDer::from_pem_slice(pem);
    found
        .map(drop)
        .map_err(|_err| "holds no private key".to_owned())
}

/// What the operating system trusts, as the driver reads it; certificates that cannot be read are left out.
fn of_the_system() -> Option<Vec<u8>> {
    let mut pem = String::new();
    for certificate in load_native_certs().certs {
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            pem.push_str(&STANDARD.encode(&certificate));
            pem.push_str("\n-----END CERTIFICATE-----\n");
        }
    }
    (!pem.is_empty()).then(|| pem.into_bytes())
}
