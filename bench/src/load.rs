//! The client: a number of connections that each send one request after the other.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::http;
use crate::mock::MARK;

/// What is sent, ready for the wire, and what comes back.
#[derive(Clone)]
pub struct Request {
    pub to: SocketAddr,
    pub bytes: Rc<Vec<u8>>,
    /// The answer is a stream: counted are chunks with content, measured is the time to the first.
    pub streamed: bool,
    /// The last bytes of a stream that ended as it should.
    pub ends_with: &'static str,
}

/// What was seen.
#[derive(Default)]
pub struct Seen {
    /// Of good answers: until the end, or of a stream until the first content. Microseconds.
    pub latencies: Vec<f64>,
    pub errors: u64,
    /// Chunks with content.
    pub chunks: u64,
    /// The first error, for people.
    pub example: Option<String>,
}

impl Seen {
    /// The latency that the share `of` of all answers did not exceed.
    pub fn percentile(&self, of: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * of) as usize;
        sorted
            .get(at.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }

    pub fn fail(&mut self, why: impl ToString) {
        self.errors += 1;
        self.example.get_or_insert_with(|| why.to_string());
    }
}

/// Requests as the wire wants them.
pub fn request(to: SocketAddr, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\naccept: */*\r\nuser-agent: bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A small chat for a gateway.
pub fn chat(to: SocketAddr, key: &str, model: &str, streamed: bool) -> Request {
    chat_at(to, "/v1/chat/completions", key, model, streamed)
}

/// The same for a path.
pub fn chat_at(to: SocketAddr, path: &str, key: &str, model: &str, streamed: bool) -> Request {
    let stream = if streamed { "\"stream\":true," } else { "" };
    let body = format!(
        "{{\"model\":\"{model}\",{stream}\"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\"content\":\"Tell me about the weather in Paris.\"}}]}}"
    );
    Request {
        to,
        bytes: Rc::new(request(to, path, key, &body)),
        streamed,
        ends_with: "[DONE]",
    }
}

/// Keeps `connections` busy for `time` with the requests, one after the other; answers under way at the end are read.
pub async fn run(requests: &[Request], connections: usize, time: Duration) -> Seen {
    let (until, all) = (Instant::now() + time, requests.len());
    let next = move |sent: usize| (Instant::now() < until).then(|| sent % all);
    drive(requests, connections, next).await
}

/// Sends each of the requests once.
pub async fn each_once(requests: &[Request], connections: usize) -> Seen {
    let all = requests.len();
    drive(requests, connections, move |sent| {
        (sent < all).then_some(sent)
    })
    .await
}

/// Sends those whose place `next` says, told how many were sent, until it says none.
async fn drive(
    requests: &[Request],
    connections: usize,
    next: impl Fn(usize) -> Option<usize> + Copy + 'static,
) -> Seen {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (requests, sent) = (Rc::new(requests.to_vec()), Rc::new(Cell::new(0)));
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (requests, sent, seen) = (Rc::clone(&requests), Rc::clone(&sent), Rc::clone(&seen));
            spawn_local(async move {
                let mut connection = None;
                while let Some(at) = next(sent.get()) {
                    sent.set(sent.get() + 1);
                    if let Err(err) = exchange(&mut connection, &requests[at], &seen).await {
                        connection = None;
                        seen.borrow_mut().fail(err);
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.ok();
    }
    std::mem::take(&mut seen.borrow_mut())
}

/// Sends one request and reads its answer.
pub async fn exchange(
    connection: &mut Option<TcpStream>,
    request: &Request,
    seen: &RefCell<Seen>,
) -> std::io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(request.to).await?;
            stream.set_nodelay(true)?;
            connection.insert(stream)
        }
    };
    let began = Instant::now();
    let micros = || began.elapsed().as_secs_f64() * 1e6;
    stream.write_all(&request.bytes).await?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    let head_len = loop {
        if let Some(end) = http::head_end(&buffer) {
            break end;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = buffer[..head_len].to_vec();
    let mut body = Vec::with_capacity(4 * 1024);
    let mut chunks = http::is_chunked(&head).then(http::Chunks::default);
    let length = http::content_length(&head);
    let mut first_content = None;
    let mut piece = buffer.split_off(head_len);
    loop {
        let done = match &mut chunks {
            Some(chunks) => {
                chunks.push(&piece, &mut body);
                chunks.done
            }
            None => {
                body.extend_from_slice(&piece);
                body.len() >= length
            }
        };
        if request.streamed && first_content.is_none() && http::find(&body, MARK).is_some() {
            first_content = Some(micros());
        }
        if done {
            break;
        }
        piece.clear();
        if stream.read_buf(&mut piece).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut seen = seen.borrow_mut();
    let good = head.starts_with(b"HTTP/1.1 200");
    let text = || String::from_utf8_lossy(&body).into_owned();
    match (good, request.streamed, first_content) {
        (true, false, _) => seen.latencies.push(micros()),
        (true, true, Some(first)) if text().trim_end().ends_with(request.ends_with) => {
            seen.latencies.push(first);
            seen.chunks += http::count(&body, MARK) as u64;
        }
        _ => {
            let head = String::from_utf8_lossy(&head).into_owned();
            seen.fail(head.lines().next().unwrap_or_default().to_owned() + ": " + &text());
        }
    }
    Ok(())
}
