//! An HTTP/1.1 client that hides nothing: what was sent is what the test wrote, and an answer can be read chunk by
//! chunk as it arrives. One connection a request.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::wait::PATIENCE;

/// A request that is being put together.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    claimed_length: Option<u64>,
    chunked: Option<Chunks>,
}

/// A body that is sent in chunks.
#[derive(Debug, Clone, Copy)]
struct Chunks {
    size: usize,
    /// Whether the last chunk, which ends the body, is sent.
    ended: bool,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// How the body of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Clean,
    /// The connection was gone before the body was.
    Cut,
}

/// An answer whose head is here and whose body is read as it comes.
#[derive(Debug)]
pub(crate) struct LiveAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    socket: TcpStream,
    unread: Vec<u8>,
    body: Body,
    /// Bytes of the body that hold no whole SSE event yet.
    events: Vec<u8>,
}

/// A connection for more than one request.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Length(usize),
    Chunked,
    UntilClose,
    Over(BodyEnd),
}

// === impl Request ===

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            claimed_length: None,
            chunked: None,
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::post_bytes(path, body.to_string())
    }

    /// A `POST` of these very bytes, declared as JSON.
    pub(crate) fn post_bytes(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).json_bytes(body)
    }

    /// A body of JSON by any method.
    pub(crate) fn with_body(method: &str, path: &str, body: &Value) -> Self {
        Self::new(method, path).json_bytes(body.to_string())
    }

    fn json_bytes(self, body: impl Into<Vec<u8>>) -> Self {
        let mut request = self.header("content-type", "application/json");
        request.body = body.into();
        request
    }

    /// Sets a header in place of an earlier one of the same name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Does the request say who asks?
    pub(crate) fn has_key(&self) -> bool {
        const CARRIERS: [&str; 5] = [
            "authorization",
            "x-litellm-api-key",
            "api-key",
            "x-api-key",
            "x-goog-api-key",
        ];
        self.headers
            .iter()
            .any(|(name, _)| CARRIERS.contains(&name.to_ascii_lowercase().as_str()))
    }

    pub(crate) fn bearer(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Claims a body of this length, whatever is sent.
    pub(crate) fn claim_length(mut self, length: u64) -> Self {
        self.claimed_length = Some(length);
        self
    }

    /// Sends the body as one chunk after another, and never the last one.
    pub(crate) fn in_chunks_without_end(mut self) -> Self {
        self.chunked = Some(Chunks {
            size: 64 * 1024,
            ended: false,
        });
        self
    }

    /// Sends the body in chunks of this size.
    pub(crate) fn in_chunks(mut self, size: usize) -> Self {
        self.chunked = Some(Chunks { size, ended: true });
        self
    }

    /// Sends the request without waiting for an answer.
    pub(crate) fn start(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.write_all(&self.head(address))?;
        if let Some(chunks) = self.chunked {
            for chunk in self.body.chunks(chunks.size) {
                let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
                framed.extend_from_slice(chunk);
                framed.extend_from_slice(b"\r\n");
                if socket.write_all(&framed).is_err() {
                    // Refused in the middle of the body: the answer is what counts.
                    return Ok(socket);
                }
            }
            if chunks.ended {
                socket.write_all(b"0\r\n\r\n")?;
            }
        } else {
            socket.write_all(&self.body)?;
        }
        Ok(socket)
    }

    /// Sends the request and reads the head of the answer.
    pub(crate) fn open(&self, address: SocketAddr) -> io::Result<LiveAnswer> {
        LiveAnswer::read_head(self.start(address)?)
    }

    /// Sends the request and reads the whole answer, whose body has to end properly.
    pub(crate) fn send(&self, address: SocketAddr) -> Answer {
        let live = self
            .open(address)
            .unwrap_or_else(|err| panic!("{} {}: {err}", self.method, self.path));
        let (answer, end) = live.read_to_end();
        assert_eq!(
            end,
            BodyEnd::Clean,
            "{} {}: the answer's body was cut",
            self.method,
            self.path
        );
        answer
    }

    /// The request as it goes over the wire, not in chunks.
    pub(crate) fn to_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut bytes = self.head(address);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn head(&self, address: SocketAddr) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.path)];
        let named = |name: &str| {
            self.headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        if !named("host") {
            lines.push(format!("host: {address}"));
        }
        for (name, value) in &self.headers {
            lines.push(format!("{name}: {value}"));
        }
        if self.chunked.is_some() {
            lines.push("transfer-encoding: chunked".to_owned());
        } else if let Some(length) = self.claimed_length {
            lines.push(format!("content-length: {length}"));
        } else if self.method != "GET" {
            lines.push(format!("content-length: {}", self.body.len()));
        }
        let mut head = lines.join("\r\n");
        head.push_str("\r\n\r\n");
        head.into_bytes()
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|err| panic!("not JSON ({err}): {} {}", self.status, self.text()))
    }

    /// The status, with the body in the failure message.
    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// An error in OpenAI's shape: all four members, a text to read, and the status as a string `code`.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, kind: &str) -> Value {
        self.assert_status(status);
        let error = self.error();
        assert_eq!(error["type"], kind, "{error}");
        assert_eq!(error["code"], status.to_string(), "{error}");
        error
    }

    /// The `error` member, checked for OpenAI's shape.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        assert!(
            self.header("content-type")
                .is_some_and(|kind| kind.starts_with("application/json")),
            "an error is JSON: {:?} {}",
            self.header("content-type"),
            self.text()
        );
        let error = self.json()["error"].clone();
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "an error says what is wrong: {}",
            self.text()
        );
        for member in ["type", "param", "code"] {
            assert!(
                error.get(member).is_some(),
                "an error has a `{member}`: {}",
                self.text()
            );
        }
        error
    }

    /// The body of a stream but for the comment with its receipt.
    pub(crate) fn text_without_receipt(&self) -> String {
        let text = self.text();
        let Some((before, rest)) = text.split_once(": trunkline {") else {
            return text;
        };
        let (_receipt, behind) = rest.split_once("\n\n").expect("a receipt ends");
        format!("{before}{behind}")
    }

    /// The answer's SSE events: the text after `data:`.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut unread = self.body.clone();
        let mut events = Vec::new();
        while let Some(event) = take_event(&mut unread) {
            events.extend(data_of(&event));
        }
        events
    }
}

// === impl LiveAnswer ===

impl LiveAnswer {
    pub(crate) fn read_head(socket: TcpStream) -> io::Result<Self> {
        Self::read_next_head(socket, Vec::new())
    }

    /// `unread` is what came on the connection behind an earlier answer.
    fn read_next_head(mut socket: TcpStream, mut unread: Vec<u8>) -> io::Result<Self> {
        let end = loop {
            if let Some(end) = find(&unread, b"\r\n\r\n") {
                break end;
            }
            if read_more(&mut socket, &mut unread)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("no answer: {:?}", String::from_utf8_lossy(&unread)),
                ));
            }
        };
        let head: Vec<u8> = unread.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, head.clone()))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let body = if header(&headers, "transfer-encoding").is_some() {
            Body::Chunked
        } else if let Some(length) = header(&headers, "content-length") {
            Body::Length(length.parse().expect("a length is a number"))
        } else {
            Body::UntilClose
        };
        Ok(Self {
            status,
            headers,
            socket,
            unread,
            body,
            events: Vec::new(),
        })
    }

    /// The next bytes of the body as they arrive; how it ended after the last.
    pub(crate) fn next_bytes(&mut self) -> Result<Vec<u8>, BodyEnd> {
        loop {
            let taken = match self.body {
                Body::Over(end) => return Err(end),
                Body::Length(0) => {
                    self.body = Body::Over(BodyEnd::Clean);
                    continue;
                }
                Body::Length(left) => {
                    let count = self.unread.len().min(left);
                    self.body = Body::Length(left - count);
                    self.unread.drain(..count).collect()
                }
                Body::UntilClose => mem::take(&mut self.unread),
                Body::Chunked => self.take_chunk().unwrap_or_default(),
            };
            if !taken.is_empty() {
                return Ok(taken);
            }
            if matches!(self.body, Body::Over(_)) {
                continue;
            }
            match read_more(&mut self.socket, &mut self.unread) {
                Ok(count) if count > 0 => {}
                Ok(_) if matches!(self.body, Body::UntilClose) => {
                    self.body = Body::Over(BodyEnd::Clean);
                }
                Err(err)
                    if matches!(
                        err.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("nothing more of the answer came within {PATIENCE:?}");
                }
                Ok(_) | Err(_) => self.body = Body::Over(BodyEnd::Cut),
            }
        }
    }

    fn take_chunk(&mut self) -> Option<Vec<u8>> {
        let end = find(&self.unread, b"\r\n")?;
        let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).expect("a chunk size is hex");
        if self.unread.len() < end + 2 + size + 2 {
            return None;
        }
        let chunk: Vec<u8> = self.unread.drain(..end + 2 + size + 2).collect();
        if size == 0 {
            self.body = Body::Over(BodyEnd::Clean);
            return None;
        }
        Some(chunk[end + 2..end + 2 + size].to_vec())
    }

    /// The next SSE event or comment, exactly as it came, with its blank line.
    pub(crate) fn next_raw_event(&mut self) -> Result<String, BodyEnd> {
        loop {
            if let Some(event) = take_event(&mut self.events) {
                return Ok(event);
            }
            let more = self.next_bytes()?;
            self.events.extend(more);
        }
    }

    /// The text after `data:` of the next event that has one.
    pub(crate) fn next_event(&mut self) -> Result<String, BodyEnd> {
        loop {
            if let Some(data) = data_of(&self.next_raw_event()?) {
                return Ok(data);
            }
        }
    }

    /// Reads on to the next event that holds text, and returns the text.
    pub(crate) fn next_text(&mut self) -> String {
        loop {
            let data = self.next_event().expect("the stream goes on");
            let text = text_of(&data);
            if !text.is_empty() {
                return text;
            }
        }
    }

    /// The rest of the events.
    pub(crate) fn remaining_events(mut self) -> (Vec<String>, BodyEnd) {
        let mut events = Vec::new();
        loop {
            match self.next_event() {
                Ok(event) => events.push(event),
                Err(end) => return (events, end),
            }
        }
    }

    pub(crate) fn read_to_end(self) -> (Answer, BodyEnd) {
        let (answer, end, _connection) = self.read_and_keep();
        (answer, end)
    }

    fn read_and_keep(mut self) -> (Answer, BodyEnd, Connection) {
        let mut body = mem::take(&mut self.events);
        let end = loop {
            match self.next_bytes() {
                Ok(bytes) => body.extend(bytes),
                Err(end) => break end,
            }
        };
        let answer = Answer {
            status: self.status,
            headers: self.headers,
            body,
        };
        let connection = Connection {
            socket: self.socket,
            unread: self.unread,
        };
        (answer, end, connection)
    }

    /// Leaves in the middle of the answer.
    pub(crate) fn leave(self) {
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

// === impl Connection ===

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        socket.set_nodelay(true).expect("a TCP option");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        Self {
            socket,
            unread: Vec::new(),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.socket
            .write_all(bytes)
            .expect("the other side reads on");
    }

    /// The next answer on this connection, which lives on.
    pub(crate) fn answer(self) -> (Answer, Self) {
        let live = LiveAnswer::read_next_head(self.socket, self.unread).expect("an answer");
        let (answer, end, connection) = live.read_and_keep();
        assert_eq!(end, BodyEnd::Clean, "the answer's body was cut");
        (answer, connection)
    }
}

/// The text that a chat chunk adds; nothing for events of another shape.
pub(crate) fn text_of(data: &str) -> String {
    serde_json::from_str::<Value>(data)
        .ok()
        .and_then(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .unwrap_or_default()
}

fn take_event(bytes: &mut Vec<u8>) -> Option<String> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
    let end = ends
        .iter()
        .filter_map(|end| Some(find(bytes, end)? + end.len()))
        .min()?;
    let event: Vec<u8> = bytes.drain(..end).collect();
    Some(String::from_utf8_lossy(&event).into_owned())
}

fn data_of(event: &str) -> Option<String> {
    let lines: Vec<&str> = event
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn read_more(socket: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0_u8; 16 * 1024];
    let count = socket.read(&mut buffer)?;
    unread.extend_from_slice(&buffer[..count]);
    Ok(count)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
