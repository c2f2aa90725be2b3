//! One connection of the generator: opened while blocking, then driven by readiness.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use mio::net::TcpStream;
use noctule_testkit::wire::{self, Assembler, Frame, Malformed, first_byte};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Filters in one SUBSCRIBE; many brokers bound a packet to less than a thousand topics of ours take.
const FILTERS_PER_SUBSCRIBE: usize = 200;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) output: Vec<u8>,
    assembler: Assembler,
    /// The socket takes no more; an event says when it does again.
    is_blocked: bool,
}

impl Client {
    /// Connects, waits for the broker's welcome and subscribes.
    pub(crate) fn open(
        address: SocketAddr,
        level: u8,
        client_id: &str,
        filters: &[&str],
        qos: u8,
    ) -> Result<Self> {
        let mut stream =
            std::net::TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;

        let mut request = Vec::new();
        wire::push_connect(&mut request, level, client_id);
        let connack = ask(&mut stream, &request, first_byte::CONNACK)?;
        ensure!(connack.get(1) == Some(&0), "{client_id} was refused with code {:?}", connack.get(1));

        for (chunk, filters) in (1..).zip(filters.chunks(FILTERS_PER_SUBSCRIBE)) {
            request.clear();
            wire::push_subscribe(&mut request, level, chunk, filters.iter().copied(), qos);
            let suback = ask(&mut stream, &request, first_byte::SUBACK)?;
            let codes = &suback[suback.len() - filters.len()..];
            ensure!(
                codes.iter().all(|&code| code == qos),
                "a subscription was granted with less than QoS {qos}"
            );
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            output: Vec::new(),
            assembler: Assembler::default(),
            is_blocked: false,
        })
    }

    /// Reads once; returns the number of bytes, none if there is nothing to read.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(0) => bail!("the broker closed a connection"),
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error).context("a connection broke"),
        }
    }

    /// Hands over each whole frame with the buffer for answers.
    pub(crate) fn take(
        &mut self,
        arrived: &[u8],
        mut each: impl FnMut(&Frame<'_>, &mut Vec<u8>) -> Result<(), Malformed>,
    ) -> Result<()> {
        let output = &mut self.output;
        self.assembler
            .feed(arrived, |frame| each(frame, output))
            .map_err(|Malformed| anyhow!("the broker sent what is not MQTT"))
    }

    /// The socket takes bytes again.
    pub(crate) fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Writes once. Returns whether there was something to write.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        if self.output.is_empty() || self.is_blocked {
            return Ok(false);
        }
        match self.stream.write(&self.output) {
            Ok(count) if count == self.output.len() => self.output.clear(),
            Ok(count) => {
                self.output.drain(..count);
                self.is_blocked = true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
            Err(error) => return Err(error).context("a connection broke"),
        }
        Ok(true)
    }
}

/// Sends a request and waits for the one frame that answers it; returns that frame's body.
fn ask(stream: &mut std::net::TcpStream, request: &[u8], answer: u8) -> Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).context("the broker did not answer")?;
        ensure!(count > 0, "the broker closed the connection instead of an answer");
        received.extend_from_slice(&buffer[..count]);
        let frame = Frame::cut(&received).map_err(|Malformed| anyhow!("the broker sent what is not MQTT"))?;
        if let Some(frame) = frame {
            ensure!(frame.first_byte() == answer, "unexpected packet {:#04x}", frame.first_byte());
            return Ok(frame.body.to_vec());
        }
    }
}
