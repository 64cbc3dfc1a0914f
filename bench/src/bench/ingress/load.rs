//! Sends webhooks in an open loop: the due time of each webhook does not depend on the responses to earlier
//! webhooks. Each connection has a thread, which sends a webhook only after it has read the response to the
//! previous one. Latency is measured from the due time.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::LONGEST_P99;
use super::payload::RequestPayload;

/// Time limit of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The payloads and the number of connections.
pub(super) struct RequestLoad<'a> {
    pub(super) payloads: &'a [RequestPayload],
    pub(super) connections: usize,
}

/// The measured responses to the webhooks of one run.
pub(super) struct LoadResult {
    /// Times from the due time of each webhook to its response with status 202, sorted.
    latencies: Vec<Duration>,
    /// Number of requests with a response other than 202, or without a response.
    pub(super) failed: usize,
    /// Time from the first due time to the last response, minus the accepted latency of the last responses.
    duration: Duration,
}

impl LoadResult {
    pub(super) fn response_count(&self) -> usize {
        self.latencies.len()
    }

    /// Returns the number of responses per second.
    pub(super) fn responses_per_second(&self) -> f64 {
        self.response_count() as f64 / self.duration.as_secs_f64()
    }

    pub(super) fn latency(&self, quantile: f64) -> Duration {
        let at = (self.latencies.len() as f64 * quantile) as usize;
        self.latencies
            .get(at.min(self.latencies.len().saturating_sub(1)))
            .copied()
            .unwrap_or(RESPONSE_TIMEOUT)
    }
}

impl RequestLoad<'_> {
    /// Sends webhooks for the duration `time`, at `rate` per second.
    pub(super) fn run(&self, port: u16, rate: f64, time: Duration) -> Result<LoadResult> {
        let total = (rate * time.as_secs_f64()) as u64;
        let next = AtomicU64::new(0);
        // A number in each webhook's delivery id. Each run has a different number, so all ids are new to the
        // server.
        let run = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
        let connected: Vec<TcpStream> =
            (0..self.connections).map(|_| connect(port)).collect::<Result<_>>()?;
        let start = Instant::now() + Duration::from_millis(20);
        let results: Vec<(Vec<Duration>, usize)> = thread::scope(|scope| {
            let next = &next;
            let threads: Vec<_> = connected
                .into_iter()
                .map(|stream| {
                    scope.spawn(move || {
                        let mut connection = LoadConnection { stream, response_buffer: vec![0; 4096] };
                        let (mut latencies, mut failed) = (Vec::new(), 0);
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= total {
                                return (latencies, failed);
                            }
                            let due = start + Duration::from_secs_f64(number as f64 / rate);
                            sleep_until(due);
                            let payload = &self.payloads[number as usize % self.payloads.len()];
                            match connection.post(run, number, payload) {
                                Ok(()) => latencies.push(due.elapsed()),
                                Err(_) => {
                                    failed += 1;
                                    match connect(port) {
                                        Ok(stream) => connection.stream = stream,
                                        Err(_) => return (latencies, failed),
                                    }
                                }
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        let duration = start.elapsed().saturating_sub(LONGEST_P99).max(time);
        let failed = results.iter().map(|(_, failed)| failed).sum();
        let mut latencies: Vec<Duration> = results.into_iter().flat_map(|(latencies, _)| latencies).collect();
        if latencies.is_empty() {
            bail!("not one webhook of {total} was taken");
        }
        latencies.sort();
        Ok(LoadResult { latencies, failed, duration })
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    Ok(stream)
}

fn sleep_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

struct LoadConnection {
    stream: TcpStream,
    response_buffer: Vec<u8>,
}

impl LoadConnection {
    /// Sends one webhook and reads its response. Returns an error if the response's status is not 202.
    fn post(&mut self, run_id: u128, number: u64, payload: &RequestPayload) -> Result<()> {
        let head = format!(
            "POST /webhooks/github HTTP/1.1\r\nhost: localhost\r\nx-github-delivery: {run_id}-{number}\r\n"
        );
        let (head, body) = (head.as_bytes(), payload.bytes());
        let sent = self.stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?;
        if sent < head.len() {
            bail!("a header in two parts");
        }
        self.stream.write_all(&body[sent - head.len()..])?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.response_buffer[filled..])?;
            if read == 0 {
                bail!("closed");
            }
            filled += read;
            if let Some(status) = parse_response_status(&self.response_buffer[..filled]) {
                return if status == 202 { Ok(()) } else { bail!("answered {status}") };
            }
        }
    }
}

/// Returns the status of a complete response, or `None` if the response is not complete.
fn parse_response_status(response: &[u8]) -> Option<u16> {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&response[..end]).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    if response.len() < end + length {
        return None;
    }
    head.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_all_of_it_is_there() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(parse_response_status(whole), Some(202));
        for cut in 0..whole.len() {
            assert_eq!(parse_response_status(&whole[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_quantile_is_of_all_answers() {
        let latencies = (0..100).map(Duration::from_millis).collect();
        let measured = LoadResult { latencies, failed: 0, duration: Duration::from_secs(2) };
        assert_eq!(measured.latency(0.5), Duration::from_millis(50));
        assert_eq!(measured.latency(0.99), Duration::from_millis(99));
        assert_eq!(measured.responses_per_second(), 50.0);
    }
}
