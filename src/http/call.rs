//! What is asked: path, query, headers, body, and where it comes from. Who asks is said by
//! [`Caller`](super::extract::Caller).

use std::fmt;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{
    AsHeaderName, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use percent_encoding::percent_decode_str;

use super::error::{ApiError, Code};
use crate::app::{App, Worker};

/// The request and the worker that serves it. The body is not read yet.
pub struct Call {
    /// This worker.
    pub worker: web::Data<Worker>,
    /// Line and headers.
    pub request: HttpRequest,
    payload: Payload,
}

// === impl Call ===

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the headers: they hold keys.
        f.debug_struct("Call")
            .field("path", &self.request.path())
            .finish_non_exhaustive()
    }
}

impl FromRequest for Call {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(worker_of(request).map(|worker| Self {
            worker,
            request: request.clone(),
            payload: payload.take(),
        }))
    }
}

impl Call {
    /// The process's state.
    pub fn app(&self) -> &App {
        &self.worker.app
    }

    /// Where the call comes from, as the gateway's socket sees it.
    pub fn address(&self) -> Option<IpAddr> {
        address_of(&self.request)
    }

    /// What stands at that place of the path; nothing where the route has no such place. The router leaves `%2F`, `%2B` and
    /// `%25` as clients write them, since it could not tell them from its own.
    pub fn path(&self, name: &str) -> Option<String> {
        let written = self.request.match_info().get(name)?;
        Some(percent_decode_str(written).decode_utf8_lossy().into_owned())
    }

    /// A header as text.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.request
            .headers()
            .get(name)?
            .to_str()
            .ok()
            .map(str::trim)
    }

    /// A query parameter, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        web::Query::<Vec<(String, String)>>::from_query(self.request.query_string())
            .ok()?
            .into_inner()
            .into_iter()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Reads the JSON body.
    ///
    /// # Errors
    /// 415 for another content type or a compressed body, 413 for one over the cap, 400 when it breaks off.
    pub async fn json_body(&mut self) -> Result<Bytes, ApiError> {
        self.body_within(usize::MAX).await
    }

    /// The same for a body that has no reason to be larger than that many bytes, such as one of anybody: the cap of all bodies
    /// holds besides.
    ///
    /// # Errors
    /// As of [`json_body`](Self::json_body).
    pub async fn body_within(&mut self, most: usize) -> Result<Bytes, ApiError> {
        check_is_json(self.request.headers())?;
        let cap = self.app().config.server.max_body_bytes;
        let limit = cap.min(most);
        let too_large = || {
            let remedy = if most < cap {
                ""
            } else {
                ", or raise max_body_bytes"
            };
            ApiError::new(
                Code::BodyTooLarge,
                format!("The request body is larger than {limit} bytes. Send less{remedy}."),
            )
        };
        let announced = self
            .request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(chunk) = self.payload.next().await {
            let chunk = chunk.map_err(|err| {
                ApiError::new(
                    Code::BadRequest,
                    format!("The request body could not be read: {err}."),
                )
                .param("request_body")
            })?;
            if first.is_none() && all.is_empty() {
                first = Some(chunk);
            } else {
                if let Some(first) = first.take() {
                    all.reserve(announced.map_or(0, |length| usize::try_from(length).unwrap_or(0)));
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&chunk);
            }
            if all.len().max(first.as_ref().map_or(0, Bytes::len)) > limit {
                return Err(too_large());
            }
        }
        // Most bodies come in one piece and are never copied.
        Ok(first.unwrap_or_else(|| all.freeze()))
    }
}

fn check_is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let unsupported = |what: &str| {
        Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!(
                "{what} is not supported here. Send JSON with `Content-Type: application/json`, uncompressed."
            ),
        ))
    };
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return unsupported("This Content-Encoding");
    }
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let text = content_type.to_str().unwrap_or_default();
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // curl's default for `-d` is accepted: the examples of every provider's documentation are pasted with it missing.
    if essence == "application/json"
        || essence.ends_with("+json")
        || essence == "application/x-www-form-urlencoded"
        || essence.is_empty()
    {
        Ok(())
    } else {
        unsupported(&format!("Content-Type {essence}"))
    }
}

pub(super) fn worker_of(request: &HttpRequest) -> Result<web::Data<Worker>, ApiError> {
    request
        .app_data::<web::Data<Worker>>()
        .cloned()
        .ok_or_else(|| {
            ApiError::new(
                Code::Internal,
                "This worker has no state; the gateway is misbuilt.",
            )
        })
}

/// Where a request comes from, as the gateway's socket sees it.
pub(super) fn address_of(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}
