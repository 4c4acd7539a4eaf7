//! The provider: answers at once, after a while, or in chunks, in both dialects.
//!
//! The first segment of the path says how: `/now/…` answers at once, `/hold/…` after [`HOLD`], `/stream/…` with
//! [`CHUNKS`] chunks of which one goes out every [`PACE`], `/pace-20/…` with one every 20 ms for [`PACED`] or a little more,
//! `/slow/…` with a first chunk and the end after [`HOLD`], `/fail/…` with an error of the provider's.
//! A path that ends in `/messages` is answered in Anthropic's dialect.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::http;

/// How long `/hold` and `/slow` wait.
pub const HOLD: Duration = Duration::from_secs(12);
/// Chunks with content in a `/stream` answer.
pub const CHUNKS: usize = 100;
/// Between two of them: chunks that come in one go would be read in one go.
pub const PACE: Duration = Duration::from_millis(2);
/// How long a `/pace-…` answer takes, or three chunks.
pub const PACED: Duration = Duration::from_secs(2);
/// Is in every chunk with content, and in nothing else.
pub const MARK: &[u8] = b"tok ";

const OPENAI: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there, how can I help you today?","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19}}"#;
const ANTHROPIC: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"Hello there, how can I help you today?"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":9}}"#;

/// The events of a stream.
struct Events {
    begin: Vec<u8>,
    content: Vec<u8>,
    end: Vec<u8>,
}

/// Serves until the process ends.
pub async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(async move {
            // A peer that hangs up ends its connection and nothing else.
            connection(stream).await.ok();
        });
    }
}

async fn connection(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(4096);
    loop {
        let head_len = loop {
            if let Some(end) = http::head_end(&buffer) {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = buffer[..head_len].to_vec();
        let mut left = http::content_length(&head);
        let have = (buffer.len() - head_len).min(left);
        left -= have;
        buffer.drain(..head_len + have);
        if http::is_chunked(&head) {
            let (mut chunks, mut sink) = (http::Chunks::default(), Vec::new());
            chunks.push(&buffer, &mut sink);
            buffer.clear();
            while !chunks.done {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                chunks.push(&buffer, &mut sink);
                buffer.clear();
            }
        }
        if left > 0 {
            let mut piece = vec![0; 64 * 1024];
            while left > 0 {
                let most = piece.len().min(left);
                let read = stream.read(&mut piece[..most]).await?;
                if read == 0 {
                    return Ok(());
                }
                left -= read;
            }
        }
        answer(&mut stream, &head).await?;
    }
}

async fn answer(stream: &mut TcpStream, head: &[u8]) -> std::io::Result<()> {
    let line = String::from_utf8_lossy(head);
    let path = line.split(' ').nth(1).unwrap_or_default();
    let anthropic = path.ends_with("/messages");
    match path.split('/').nth(1) {
        Some("stream") => {
            let events = Events::of(anthropic);
            begin(stream, &events).await?;
            for _ in 0..CHUNKS {
                stream.write_all(&events.content).await?;
                sleep(PACE).await;
            }
            stream.write_all(&events.end).await
        }
        Some("fail") => {
            let body = r#"{"error":{"message":"The provider is unwell.","type":"server_error","param":null,"code":null}}"#;
            let answer = format!(
                "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await
        }
        Some(behaviour) if behaviour.starts_with("pace-") => {
            let pace = behaviour
                .trim_start_matches("pace-")
                .parse()
                .unwrap_or(2_u64)
                .max(1);
            let events = Events::of(anthropic);
            begin(stream, &events).await?;
            for _ in 0..(PACED.as_millis() as u64 / pace).max(3) {
                stream.write_all(&events.content).await?;
                sleep(Duration::from_millis(pace)).await;
            }
            stream.write_all(&events.end).await
        }
        Some("slow") => {
            let events = Events::of(anthropic);
            begin(stream, &events).await?;
            stream.write_all(&events.content).await?;
            sleep(HOLD).await;
            stream.write_all(&events.end).await
        }
        behaviour => {
            if behaviour == Some("hold") {
                sleep(HOLD).await;
            }
            let body = if anthropic { ANTHROPIC } else { OPENAI };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await
        }
    }
}

async fn begin(stream: &mut TcpStream, events: &Events) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_1\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    stream.write_all(&events.begin).await
}

impl Events {
    fn of(anthropic: bool) -> Self {
        if anthropic {
            Self::anthropic()
        } else {
            Self::openai()
        }
    }

    fn openai() -> Self {
        let event = |choices: &str, rest: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{choices}]{rest}}}\n\n"
            )
        };
        let delta = |delta: &str, reason: &str| {
            event(
                &format!(
                    "{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{reason}}}"
                ),
                ",\"usage\":null",
            )
        };
        let usage = event(
            "",
            ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":100,\"total_tokens\":110}",
        );
        Self {
            begin: chunk(&delta(r#"{"role":"assistant","content":""}"#, "null")),
            content: chunk(&delta(r#"{"content":"tok "}"#, "null")),
            end: last(&(delta("{}", "\"stop\"") + &usage + "data: [DONE]\n\n")),
        }
    }

    fn anthropic() -> Self {
        let event = |kind: &str, rest: &str| {
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n")
        };
        let start = event(
            "message_start",
            r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}"#,
        ) + &event(
            "content_block_start",
            r#","index":0,"content_block":{"type":"text","text":""}"#,
        );
        let end = event("content_block_stop", r#","index":0"#)
            + &event(
                "message_delta",
                r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":100}"#,
            )
            + &event("message_stop", "");
        Self {
            begin: chunk(&start),
            content: chunk(&event(
                "content_block_delta",
                r#","index":0,"delta":{"type":"text_delta","text":"tok "}"#,
            )),
            end: last(&end),
        }
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn last(text: &str) -> Vec<u8> {
    let mut bytes = chunk(text);
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
