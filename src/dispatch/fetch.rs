//! Fetches a small document from an address of the config, by the same client and trust as calls of providers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use awc::http::Uri;
use awc::http::header::HeaderValue;
use bytes::Bytes;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use crate::config::Secret;

use super::upstream::{BodyError, Response, SendError, Upstream};

/// All of it.
const WITHIN: Duration = Duration::from_secs(10);

/// Fetches documents. Never leaves its thread.
pub struct Fetcher(Upstream);

/// Why a document did not come.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Not an address of HTTP.
    #[error("the address cannot be asked")]
    Address,
    /// No answer in time.
    #[error("no answer within {WITHIN:?}")]
    Timeout,
    /// An answer that is no success.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
}

// === impl Fetcher ===

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetcher").finish()
    }
}

impl Fetcher {
    /// A client of its own. Must be made on the thread that uses it.
    pub fn new(tls: &Arc<ClientConfig>) -> Self {
        Self(Upstream::new(tls, WITHIN))
    }

    /// The document at `url`, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn get(&self, url: &Url, limit: usize) -> Result<Bytes, FetchError> {
        self.ask(url, None, None, limit).await
    }

    /// The same for whoever shows that proof, an `Authorization` header; with a form where there is one.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn ask(
        &self,
        url: &Url,
        proof: Option<&Secret>,
        form: Option<&Secret>,
        limit: usize,
    ) -> Result<Bytes, FetchError> {
        let proof = match proof {
            None => None,
            Some(proof) => {
                let header = HeaderValue::from_str(proof.expose());
                let mut header = header.map_err(|_no_header| FetchError::Address)?;
                header.set_sensitive(true);
                Some(header)
            }
        };
        let form = form.map(|form| Bytes::copy_from_slice(form.expose().as_bytes()));
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_no_uri| FetchError::Address)?;
        let all = async {
            let Response {
                status, mut body, ..
            } = self.0.get_document(&uri, proof.as_ref(), form).await?;
            if !status.is_success() {
                return Err(FetchError::Status(status.as_u16()));
            }
            Ok(body.collect(limit).await?)
        };
        timeout(WITHIN, all)
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }
}

impl From<SendError> for FetchError {
    fn from(err: SendError) -> Self {
        Self::Connection(err.to_string())
    }
}

impl From<BodyError> for FetchError {
    fn from(err: BodyError) -> Self {
        Self::Connection(err.to_string())
    }
}
