//! Answers that no server sends on purpose: their bytes are written here, and then the link ends.

use bytes::Bytes;
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    answer::Answer,
    connection::Stream,
    content::CHUNK,
    plan::{End, Plan},
    requests::Account,
};
use crate::fault::Length;

/// An answer that waits for the connection.
pub struct ByHand {
    pub answer: Answer,
    pub plan: Plan,
    pub account: Account,
    /// The answer to HEAD has no body.
    pub is_head: bool,
    /// Random bytes in place of the answer.
    pub garbage: Vec<u8>,
}

/// How often a slow body goes on.
const TICK: Duration = Duration::from_millis(100);

impl ByHand {
    /// Writes the answer. The peer may go at any time, which is no error.
    pub async fn write(mut self, mut stream: Box<dyn Stream>) {
        let end = match self.plan.end {
            _ if self.plan.is_silent => End::Stall,
            Some((None, end)) => end,
            _ => match self.say(&mut stream).await {
                Ok(Some(end)) => end,
                Ok(None) => {
                    drop(self.account);
                    let _ = stream.shutdown().await;
                    drain(&mut stream).await;
                    return;
                }
                Err(_) => return,
            },
        };
        if end != End::Stall {
            drop(self.account);
        }
        match end {
            End::Stall => wait_for_end(&mut stream).await,
            // Without a word of TLS.
            End::Cut => drain_after_fin(&mut stream).await,
            End::Reset => drop(socket2::SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO))),
        }
    }

    /// The end that the plan has for it, when it is reached.
    async fn say(&mut self, stream: &mut Box<dyn Stream>) -> io::Result<Option<End>> {
        if let Some(bytes) = &self.plan.instead {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            return Ok(None);
        }
        if !self.garbage.is_empty() {
            stream.write_all(&self.garbage).await?;
            stream.flush().await?;
            return Ok(None);
        }
        stream.write_all(&self.head()).await?;
        if self.plan.endless_headers {
            for n in 0_u64.. {
                stream.write_all(format!("x-filler-{n}: {:a<1000}\r\n", "").as_bytes()).await?;
            }
        }
        stream.write_all(b"\r\n").await?;
        stream.flush().await?;
        if self.is_head {
            return Ok(None);
        }
        self.body(stream).await
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} by hand\r\nconnection: close\r\n", self.answer.code);
        for (name, value) in &self.answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(length) = self.length() {
            head += &format!("content-length: {length}\r\n");
        } else if self.is_chunked() {
            head += "transfer-encoding: chunked\r\n";
        }
        head.into_bytes()
    }

    fn length(&self) -> Option<u64> {
        let left = self.answer.content.left()?;
        match self.plan.length {
            Some(Length::Of(length)) => Some(length),
            Some(Length::Off(off)) => Some(left.saturating_add_signed(off)),
            None if self.plan.no_length || self.plan.is_chunked => None,
            None => Some(left),
        }
    }

    fn is_chunked(&self) -> bool {
        self.plan.is_chunked && self.length().is_none()
    }

    async fn body(&mut self, stream: &mut Box<dyn Stream>) -> io::Result<Option<End>> {
        let is_chunked = self.is_chunked();
        let mut until_end = match self.plan.end {
            Some((Some(bytes), end)) => Some((bytes, end)),
            _ => None,
        };
        loop {
            if let Some((0, end)) = until_end {
                return Ok(Some(end));
            }
            let mut most = CHUNK;
            if let Some((bytes, _)) = until_end {
                most = most.min(usize::try_from(bytes).unwrap_or(CHUNK));
            }
            if let Some(rate) = self.plan.rate {
                most = most.min(in_a_tick(rate).0);
            }
            let Some(bytes) = self.answer.content.next(most)? else { break };
            let began = Instant::now();
            let framed = if is_chunked { chunk(&bytes) } else { bytes.clone() };
            stream.write_all(&framed).await?;
            stream.flush().await?;
            self.account.add(bytes.len());
            if let Some((left, _)) = &mut until_end {
                *left -= bytes.len() as u64;
            }
            if let Some(rate) = self.plan.rate {
                tokio::time::sleep(in_a_tick(rate).1.saturating_sub(began.elapsed())).await;
            }
        }
        if is_chunked {
            stream.write_all(b"0\r\n\r\n").await?;
            stream.flush().await?;
        }
        Ok(None)
    }
}

/// How many bytes a rate allows at once, and how long until the next.
fn in_a_tick(rate: u64) -> (usize, Duration) {
    match rate / 10 {
        0 => (1, Duration::from_secs(1) / rate.max(1) as u32),
        bytes => (usize::try_from(bytes).unwrap_or(CHUNK), TICK),
    }
}

fn chunk(bytes: &Bytes) -> Bytes {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed.into()
}

/// Until the peer ends the link.
async fn wait_for_end(stream: &mut Box<dyn Stream>) {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await.is_ok_and(|n| n > 0) {}
}

/// Bytes that are not read would turn the end into a reset, which could cost the peer the end of the answer.
async fn drain(stream: &mut Box<dyn Stream>) {
    let _ = tokio::time::timeout(Duration::from_secs(2), wait_for_end(stream)).await;
}

async fn drain_after_fin(stream: &mut Box<dyn Stream>) {
    let _ = socket2::SockRef::from(stream.tcp()).shutdown(std::net::Shutdown::Write);
    drain(stream).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_in_ticks() {
        assert_eq!(in_a_tick(1), (1, Duration::from_secs(1)));
        assert_eq!(in_a_tick(4), (1, Duration::from_millis(250)));
        assert_eq!(in_a_tick(200), (20, TICK));
    }
}
