//! A scripted provider on raw TCP, so that it can do what no HTTP library would: cut a body, close in the wrong
//! moment, go silent, send odd bytes. It writes down every request to the byte and when the gateway left.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use super::reply::{CONNECTION_LIFETIME, Ending, Part, Reply};
use super::wait::{PATIENCE, Watched};

/// One request as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case, in the order of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends JSON upstream")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the gateway sends UTF-8 upstream")
    }
}

#[derive(Debug, Default)]
struct Notes {
    requests: Vec<Recorded>,
    /// For each connection: did the gateway close it?
    left: Vec<bool>,
}

type Answer = Box<dyn Fn(&Recorded) -> Reply + Send + Sync>;

struct Script {
    queue: Watched<VecDeque<Reply>>,
    /// What is said when the queue is empty.
    otherwise: Answer,
    notes: Watched<Notes>,
}

/// A provider that lives as long as this value.
pub(crate) struct Upstream {
    address: SocketAddr,
    script: Arc<Script>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Debug for Upstream {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// A provider that says only what was pushed; anything more is an error that names itself.
    pub(crate) fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let upstream = Self::answering(|request| {
            Reply::error(
                500,
                "unscripted",
                &format!("unscripted {} {}", request.method, request.path),
            )
        });
        for reply in replies {
            upstream.push(reply);
        }
        upstream
    }

    /// A provider that always says the same.
    pub(crate) fn always(reply: Reply) -> Self {
        Self::answering(move |_| reply.clone())
    }

    /// A provider that looks at the request first.
    pub(crate) fn answering(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let script = Arc::new(Script {
            queue: Watched::default(),
            otherwise: Box::new(answer),
            notes: Watched::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell_address, address) = mpsc::channel();
        let shared = Arc::clone(&script);
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for the scripted provider");
            LocalSet::new().block_on(&runtime, serve(shared, tell_address, stopped));
        });
        Self {
            address: address
                .recv_timeout(PATIENCE)
                .expect("the scripted provider binds a free port"),
            script,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The base URL for a deployment's `api_base`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Queues an answer; the queue goes before everything else.
    pub(crate) fn push(&self, reply: Reply) {
        self.script.queue.change(|queue| queue.push_back(reply));
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.script.notes.lock().requests.clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn request_count(&self) -> usize {
        self.script.notes.lock().requests.len()
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.script.notes.lock().left.len()
    }

    /// The only request there was.
    pub(crate) fn only_request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "the provider was asked exactly once");
        requests[0].clone()
    }

    /// Waits until this many requests came.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.script
            .notes
            .wait_for(PATIENCE, |notes| {
                (notes.requests.len() >= count).then_some(())
            })
            .unwrap_or_else(|| {
                panic!("waited for {count} requests, {} came", self.request_count())
            });
    }

    /// Did the gateway close the connection of this request (counted from 0) within `patience`?
    pub(crate) fn is_left_within(&self, request: usize, patience: Duration) -> bool {
        self.script
            .notes
            .wait_for(patience, |notes| {
                let connection = notes.requests.get(request)?.connection;
                notes.left.get(connection)?.then_some(())
            })
            .is_some()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(
    script: Arc<Script>,
    tell_address: mpsc::Sender<SocketAddr>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free loopback port");
    tell_address
        .send(
            listener
                .local_addr()
                .expect("a bound listener has an address"),
        )
        .expect("the test waits for the address");
    drop(tell_address);
    loop {
        select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                let (socket, _) = accepted.expect("accept on loopback");
                let number = script.notes.change(|notes| {
                    notes.left.push(false);
                    notes.left.len() - 1
                });
                let script = Arc::clone(&script);
                spawn_local(async move {
                    let talk = Conversation { socket, unread: Vec::new(), number, script };
                    drop(timeout(CONNECTION_LIFETIME, talk.run()).await);
                });
            }
        }
    }
}

/// One connection of the gateway.
struct Conversation {
    socket: TcpStream,
    unread: Vec<u8>,
    number: usize,
    script: Arc<Script>,
}

impl Conversation {
    async fn run(mut self) {
        drop(self.socket.set_nodelay(true));
        while let Some(request) = self.next_request().await {
            self.script
                .notes
                .change(|notes| notes.requests.push(request.clone()));
            let scripted = self.script.queue.change(VecDeque::pop_front);
            let reply = scripted.unwrap_or_else(|| (self.script.otherwise)(&request));
            if !self.say(&reply).await {
                return;
            }
        }
        self.note_left();
    }

    fn note_left(&self) {
        let number = self.number;
        self.script.notes.change(|notes| notes.left[number] = true);
    }

    /// `false`: the connection is over.
    async fn say(&mut self, reply: &Reply) -> bool {
        if let Some(gate) = &reply.before
            && !self.unless_left(gate.passed()).await
        {
            return false;
        }
        if !reply.silent {
            if !self.send(&reply.head()).await {
                return false;
            }
            for part in &reply.parts {
                let goes_on = match part {
                    Part::Bytes(bytes) => self.send(&reply.frame(bytes)).await,
                    Part::Wait(gate) => self.unless_left(gate.passed()).await,
                };
                if !goes_on {
                    return false;
                }
            }
        }
        match reply.ending {
            Ending::KeepAlive => self.send(reply.last_chunk()).await,
            Ending::CloseWhenIdle => {
                self.send(reply.last_chunk()).await;
                drop(self.socket.shutdown().await);
                false
            }
            Ending::Cut => {
                drop(self.socket.shutdown().await);
                false
            }
            Ending::Reset => {
                drop(self.socket.set_zero_linger());
                false
            }
            Ending::Hang => {
                self.unless_left(future::pending()).await;
                false
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.socket.write_all(bytes).await.is_ok();
        if !sent {
            self.note_left();
        }
        sent
    }

    /// Waits for `event`; `false` if the gateway closed the connection before it.
    async fn unless_left(&mut self, event: impl Future<Output = ()>) -> bool {
        let mut event = pin!(event);
        loop {
            select! {
                () = &mut event => return true,
                read = self.socket.read_buf(&mut self.unread) => match read {
                    Ok(count) if count > 0 => {}
                    Ok(_) | Err(_) => {
                        self.note_left();
                        return false;
                    }
                },
            }
        }
    }

    async fn next_request(&mut self) -> Option<Recorded> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            self.read_more().await?;
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("the gateway writes a UTF-8 head");
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let method = first.next()?.to_owned();
        let path = first.next()?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut request = Recorded {
            connection: self.number,
            method,
            path,
            headers,
            body: Vec::new(),
        };
        request.body = if request.header("transfer-encoding").is_some() {
            self.chunked_body().await?
        } else {
            let length = request
                .header("content-length")
                .map_or(0, |length| length.parse().expect("a length is a number"));
            self.take(length).await?
        };
        Some(request)
    }

    async fn chunked_body(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = find(&self.unread, b"\r\n") {
                    break end;
                }
                self.read_more().await?;
            };
            let line = self.take(end + 2).await?;
            let size = String::from_utf8_lossy(&line[..end]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size is hex");
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            self.read_more().await?;
        }
        Some(self.unread.drain(..count).collect())
    }

    async fn read_more(&mut self) -> Option<()> {
        match self.socket.read_buf(&mut self.unread).await {
            Ok(count) if count > 0 => Some(()),
            Ok(_) | Err(_) => None,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
