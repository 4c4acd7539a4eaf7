//! The only user of `awc`: one client a worker, connections that are told apart as fresh or reused, bodies that cannot be
//! cut unnoticed.
//!
//! What awc leaves to its user, and what is done about it here:
//! - it limits a client to 100 connections and follows redirects: both are off;
//! - it reports a body that ended early as a clean end: [`Body`] counts against `content-length`, and the relay asks for
//!   the terminal event;
//! - it neither retries nor says whether a dead connection came from its pool: [`FreshFlag`] does, and a request is
//!   repeated once, on a connection that was made for it, only when the dead one was reused and no byte had come back;
//! - it sets no `TCP_NODELAY`: [`NoDelay`] does, else streamed tokens wait up to 40 ms.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{Error as IoError, ErrorKind};
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::ParseError;
use actix_http::{HttpMessage as _, Payload};
use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::{
    ConnectError, ConnectInfo, Connection, Connector as TcpConnector, ConnectorService,
};
use awc::error::{ConnectError as PoolConnectError, SendRequestError};
use awc::http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use awc::http::{StatusCode, Uri, Version};
use awc::{Client, ClientBuilder, ClientRequest, ClientResponse, Connector};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use super::headers::Headers;
use super::target::Target;

/// An idle connection is not reused after this: providers and their load balancers close theirs after 20 s and more.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A connection is not reused after this, so that DNS changes are followed.
const LIFETIME: Duration = Duration::from_mins(10);

/// What went wrong below HTTP.
#[derive(Debug, Error)]
pub(super) enum SendError {
    /// No connection: DNS, TCP or TLS.
    #[error("no connection to the provider: {0}")]
    Connect(String),
    /// The `connect` timer ran out.
    #[error("no connection to the provider within {0:?}")]
    ConnectTimeout(Duration),
    /// The connection broke before the answer's status line.
    #[error("the provider closed the connection without an answer: {0}")]
    Lost(String),
    /// awc reads such a body as empty: HTTP/1.1 allows it to end with the connection, and nobody could tell it from a cut.
    #[error(
        "the provider's answer has neither Content-Length nor chunked encoding, so its end cannot be told"
    )]
    Undelimited,
    /// What came back is not HTTP.
    #[error("the provider's answer is not HTTP: {0}")]
    NotHttp(String),
}

/// What went wrong while a body was read.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    /// Fewer bytes than announced, or the connection broke.
    #[error("the provider's answer was cut off after {received} bytes")]
    Cut {
        /// Bytes that came.
        received: u64,
    },
    /// Compressed, although identity was asked for.
    #[error("the provider's answer is encoded ({encoding}), although it was asked not to be")]
    Encoded {
        /// The provider's `Content-Encoding`.
        encoding: String,
    },
    /// More than the cap.
    #[error("the provider's answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap.
        limit: usize,
    },
}

/// One worker's client.
pub(super) struct Upstream {
    pooled: Client,
    /// Keeps no connection, so each request has one of its own: for the one repeat after a dead pooled connection.
    fresh: Client,
    connect: Duration,
}

/// An answer whose status and headers have come.
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// Kilobytes, whatever is in them: not kept while a stream is open.
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// The rest of an answer. Dropping it closes the connection at once.
pub(super) struct Body {
    payload: Payload,
    expected: Option<u64>,
    received: u64,
    /// What the provider did to it; nobody here can undo that.
    encoding: Option<String>,
    /// Whether it ended whole, once it has ended: `awc` panics when a payload is asked again after its end.
    ended_whole: Option<bool>,
}

/// Trust roots: the operating system's if it has any (private CAs live there), else Mozilla's.
pub(super) fn tls_config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // HTTP/2 stays off: awc's pool sends no pings, so a black-holed connection would serve every later request.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

// === impl Upstream ===

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("connect", &self.connect)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    pub(super) fn new(tls: &Arc<ClientConfig>, connect: Duration) -> Self {
        Self {
            pooled: client(tls, connect, KEEP_ALIVE),
            fresh: client(tls, connect, Duration::ZERO),
            connect,
        }
    }

    /// Sends a JSON body and waits for the answer's headers. No timer but `connect` runs in here. `own` are this request's
    /// own headers; they go before the deployment's of the same name.
    ///
    /// Dropping the future closes the connection.
    pub(super) async fn post(
        &self,
        target: &Target,
        uri: &Uri,
        own: Headers,
        body: Bytes,
    ) -> Result<Response, SendError> {
        let request = |client: &Client| {
            let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
            with_headers(client.post(uri).insert_header(json), target, &own)
        };
        self.send(request, Some(body)).await
    }

    /// As [`post`](Self::post), without a body.
    pub(super) async fn get(
        &self,
        target: &Target,
        uri: &Uri,
        own: Headers,
    ) -> Result<Response, SendError> {
        let request = |client: &Client| with_headers(client.get(uri), target, &own);
        self.send(request, None).await
    }

    /// Asks for a document that is no provider's, with that proof of who asks, or nobody's; with a form where there is one.
    pub(super) async fn get_document(
        &self,
        uri: &Uri,
        proof: Option<&HeaderValue>,
        form: Option<Bytes>,
    ) -> Result<Response, SendError> {
        let request = |client: &Client| {
            let plain = (ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            let mut request = if form.is_some() {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                client.post(uri).insert_header((CONTENT_TYPE, form))
            } else {
                client.get(uri)
            };
            if let Some(proof) = proof {
                request = request.insert_header((AUTHORIZATION, proof.clone()));
            }
            let json = (ACCEPT, HeaderValue::from_static("application/json"));
            request
                .no_decompress()
                .insert_header(plain)
                .insert_header(json)
        };
        self.send(request, form.clone()).await
    }

    async fn send(
        &self,
        request: impl Fn(&Client) -> ClientRequest,
        body: Option<Bytes>,
    ) -> Result<Response, SendError> {
        let send = |request: ClientRequest| match &body {
            Some(body) => request.send_body(body.clone()),
            None => request.send(),
        };
        let first = FreshFlag::watch(send(request(&self.pooled)));
        let response = match first.await {
            (Ok(response), _) => response,
            (Err(err), fresh) if !fresh && died_in_pool(&err) => {
                send(request(&self.fresh).force_close())
                    .await
                    .map_err(|err| self.classify(err))?
            }
            (Err(err), _) => return Err(self.classify(err)),
        };
        if has_no_length(&response) {
            return Err(SendError::Undelimited);
        }
        let expected = response
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let encoding = encoding(response.headers());
        let status = response.status();
        let mut headers = HeaderMap::new();
        let mut response = response.map_body(|head, payload| {
            headers = take(&mut head.headers);
            payload
        });
        Ok(Response {
            status,
            headers,
            body: Body {
                encoding,
                payload: response.take_payload(),
                expected,
                received: 0,
                ended_whole: None,
            },
        })
    }

    fn classify(&self, err: SendRequestError) -> SendError {
        match err {
            SendRequestError::Connect(PoolConnectError::Timeout) => {
                SendError::ConnectTimeout(self.connect)
            }
            SendRequestError::Connect(PoolConnectError::Disconnected) => {
                SendError::Lost("the connection was closed".to_owned())
            }
            SendRequestError::Connect(err) => SendError::Connect(err.to_string()),
            SendRequestError::Response(ParseError::Io(err)) | SendRequestError::Send(err) => {
                SendError::Lost(err.to_string())
            }
            SendRequestError::Response(ParseError::Incomplete) => {
                SendError::Lost("the status line was cut off".to_owned())
            }
            SendRequestError::Response(err) => SendError::NotHttp(err.to_string()),
            other => SendError::Lost(other.to_string()),
        }
    }
}

fn client(tls: &Arc<ClientConfig>, connect: Duration, keep_alive: Duration) -> Client {
    let connector = Connector::new()
        .connector(NoDelay(TcpConnector::default().service()))
        .rustls_0_23(Arc::clone(tls))
        .timeout(connect)
        .handshake_timeout(connect)
        .limit(0)
        .conn_keep_alive(keep_alive)
        .conn_lifetime(LIFETIME);
    ClientBuilder::new()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .no_default_headers()
        .finish()
}

fn with_headers(request: ClientRequest, target: &Target, own: &Headers) -> ClientRequest {
    let mut request = request.no_decompress();
    let headers = request.headers_mut();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in target.headers.iter().chain(own) {
        headers.insert(name.clone(), value.clone());
    }
    request
}

fn has_no_length(response: &ClientResponse) -> bool {
    response.version() == Version::HTTP_11
        && response.status() != StatusCode::NO_CONTENT
        && !response.headers().contains_key(CONTENT_LENGTH)
        && !response.headers().contains_key(TRANSFER_ENCODING)
}

/// The `Content-Encoding`, unless it is none.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_ENCODING)?;
    let encoding = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    (!encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")).then_some(encoding)
}

/// Errors that a connection shows when the provider closed it while it lay in the pool.
fn died_in_pool(err: &SendRequestError) -> bool {
    match err {
        SendRequestError::Connect(PoolConnectError::Disconnected) => true,
        SendRequestError::Send(err) | SendRequestError::Response(ParseError::Io(err)) => {
            is_closed(err)
        }
        _ => false,
    }
}

fn is_closed(err: &IoError) -> bool {
    matches!(
        err.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
    )
}

// === impl Body ===

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("expected", &self.expected)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Body {
    /// The next piece, `None` at an end that is not known to be too early.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(encoding) = self.encoding.clone() {
            return Err(BodyError::Encoded { encoding });
        }
        if self.ended_whole.is_none() {
            match self.payload.next().await {
                Some(Ok(chunk)) => {
                    self.received += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Some(Err(_)) => self.ended_whole = Some(false),
                None => {
                    let is_whole = self
                        .expected
                        .is_none_or(|expected| self.received >= expected);
                    self.ended_whole = Some(is_whole);
                }
            }
        }
        if self.ended_whole == Some(true) {
            Ok(None)
        } else {
            Err(self.cut())
        }
    }

    /// The whole rest, at most `limit` bytes. Reads to the end even when the announced length has come: that is what
    /// gives the connection back to the pool.
    pub(super) async fn collect(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if all.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            match first.take() {
                // Most answers come in one piece and are never copied.
                None if all.is_empty() => first = Some(chunk),
                begun => {
                    all.extend_from_slice(&begun.unwrap_or_default());
                    all.extend_from_slice(&chunk);
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    }

    fn cut(&self) -> BodyError {
        BodyError::Cut {
            received: self.received,
        }
    }
}

// === fresh or reused ===

thread_local! {
    /// Set by [`NoDelay`] when it is asked for a connection. awc asks for one inside the poll of the request that needs
    /// it, so clearing it before a poll and reading it after tells for exactly that request.
    static CONNECTED: Cell<bool> = const { Cell::new(false) };
}

/// Resolves to the inner output and whether a connection was made for it.
struct FreshFlag<F> {
    inner: F,
    fresh: bool,
}

impl<F: Future + Unpin> FreshFlag<F> {
    fn watch(inner: F) -> Self {
        Self {
            inner,
            fresh: false,
        }
    }
}

impl<F: Future + Unpin> Future for FreshFlag<F> {
    type Output = (F::Output, bool);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        CONNECTED.set(false);
        let polled = Pin::new(&mut self.inner).poll(cx);
        self.fresh |= CONNECTED.replace(false);
        polled.map(|output| (output, self.fresh))
    }
}

/// The TCP connector, with `TCP_NODELAY` on every socket it makes.
#[derive(Clone)]
struct NoDelay(ConnectorService);

impl Service<ConnectInfo<Uri>> for NoDelay {
    type Response = Connection<Uri, TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<ConnectInfo<Uri>>::poll_ready(&self.0, cx)
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        CONNECTED.set(true);
        let connecting = self.0.call(info);
        Box::pin(async move {
            let connection = connecting.await?;
            connection.io_ref().set_nodelay(true).ok();
            Ok(connection)
        })
    }
}
