//! The machine around the core: one task for each client, which dials, carries bytes and sleeps.
//!
//! It holds no state of the protocol, and no lock over an `.await`.

mod dial;
#[cfg(feature = "websocket")]
mod websocket;

use crate::address::Address;
use crate::core::{Core, Next};
use crate::disk::Disk;
use crate::error::ConnectionError;
use crate::options::Options;
use crate::shared::Shared;
use bytes::{Buf as _, BytesMut};
pub(crate) use dial::Way;
use noctule_session::client::Flush;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::{sleep_until, timeout};
use tracing::Instrument as _;
#[cfg(feature = "websocket")]
pub(crate) use websocket::{Header, header};

/// Looks after one client until it is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let _ended = Ended(Arc::clone(&shared));
    loop {
        let number = shared.with(Core::announce_attempt);
        let span = tracing::info_span!("connection", number);
        let error = attempt(&shared).instrument(span).await;
        shared.with(|core, now| core.lost(error, now));
        persisted(&shared).await;
        let next = shared.with(|core, now| core.next(now, random()));
        match next {
            Next::Stop => break,
            Next::TryAgain { millis } => pause(&shared, millis).await,
        }
    }
}

/// Tells everybody who waits, however the driver ends: its runtime may end before it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.with(|core, _| core.end(Some(ConnectionError::Closed)));
        self.0.outbox.close();
        self.0.disk.iter().for_each(Disk::end);
    }
}

/// Dials, and stays as long as there is a connection. Says why there is none, as far as the core does not know.
async fn attempt(shared: &Shared) -> Option<ConnectionError> {
    let address = shared.with(|core, _| core.address());
    let way = tokio::select! {
        way = open(&shared.options, &address) => way,
        () = until_closed(shared) => return None,
    };
    let way = match way {
        Ok(way) => way,
        Err(error) => return Some(error),
    };
    if let Err(error) = shared.with(Core::begin) {
        return Some(error);
    }
    carry(shared, way).await
}

/// Opens the way to a server, in time.
pub(crate) async fn open(options: &Options, address: &Address) -> Result<Way, ConnectionError> {
    let place = address.place();
    tracing::debug!(server = place, "connecting");
    match timeout(options.connect_timeout, dial::dial(options, address)).await {
        Ok(Ok(way)) => Ok(way),
        Ok(Err(error)) => Err(ConnectionError::dial(&place, error)),
        Err(_) => Err(ConnectionError::Timeout { place, timeout: options.connect_timeout }),
    }
}

/// Carries bytes both ways until the stream ends.
///
/// It always reads, also while it cannot write: two ends that only write wait for each other for ever.
async fn carry(shared: &Shared, way: Way) -> Option<ConnectionError> {
    let (mut reader, mut writer) = tokio::io::split(way);
    let (mut input, mut output) = (BytesMut::new(), Output::default());
    loop {
        if shared.with(|core, now| core.gives_up(now)) {
            return None;
        }
        if output.is_written() {
            output.clear();
            let bytes = &mut output.bytes;
            let flush = shared.with(|core, now| core.flush(now, WRITE_BYTES, bytes));
            // What these bytes say must not be forgotten once they are sent.
            if !persisted(shared).await {
                return None;
            }
            if flush == Flush::Close {
                finish(&mut writer, &output.bytes).await;
                return None;
            }
        }
        let timeout = shared.with(|core, _| core.next_timeout()).map(|at| shared.clock.at(at));
        tokio::select! {
            sent = output.send(&mut writer), if output.has_work() => {
                if let Err(error) = sent {
                    return Some(ConnectionError::lost(Some(error)));
                }
            }
            read = read(&mut reader, &mut input) => match read {
                Ok(0) => return Some(ConnectionError::lost(None)),
                Ok(_) => {
                    let consumed = shared.with(|core, now| core.receive(&input, now));
                    input.advance(consumed);
                }
                Err(error) => return Some(ConnectionError::lost(Some(error))),
            },
            () = at(timeout) => shared.with(Core::handle_timeouts),
            () = shared.changed() => {}
        }
    }
}

/// Waits until everything that has changed is durable. Returns whether it is: a disk that refuses is not waited for
/// any longer than whoever closes the client wants.
async fn persisted(shared: &Shared) -> bool {
    tokio::select! {
        biased;
        () = shared.persisted() => true,
        () = until_patience_ends(shared) => false,
    }
}

/// Returns once the client is closed and its time for that is over.
async fn until_patience_ends(shared: &Shared) {
    loop {
        let end = shared.with(|core, _| core.patience_ends()).map(|end| shared.clock.at(end));
        tokio::select! {
            () = at(end) => return,
            () = shared.changed() => {}
        }
    }
}

/// What is being written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    written: usize,
    needs_flush: bool,
}

impl Output {
    pub(crate) fn is_written(&self) -> bool {
        self.written == self.bytes.len()
    }

    pub(crate) fn has_work(&self) -> bool {
        self.needs_flush || !self.is_written()
    }

    pub(crate) fn clear(&mut self) {
        self.written = 0;
        self.bytes.clear();
        if self.bytes.capacity() > WRITE_BYTES * 2 {
            self.bytes = Vec::new();
        }
    }

    /// Writes some of it, or makes sure that what is written leaves. Dropping the future loses nothing.
    pub(crate) async fn send(&mut self, writer: &mut WriteHalf<Way>) -> std::io::Result<()> {
        if self.is_written() {
            writer.flush().await?;
            self.needs_flush = false;
            return Ok(());
        }
        let sent = writer.write(&self.bytes[self.written..]).await?;
        if sent == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.written += sent;
        self.needs_flush = true;
        Ok(())
    }
}

pub(crate) async fn read(reader: &mut ReadHalf<Way>, input: &mut BytesMut) -> std::io::Result<usize> {
    if input.capacity() - input.len() < READ_BYTES / 2 {
        input.reserve(READ_BYTES);
    }
    reader.read_buf(input).await
}

/// Writes the last bytes and closes the stream. A peer that does not take them is left.
pub(crate) async fn finish(writer: &mut WriteHalf<Way>, bytes: &[u8]) {
    let last = async {
        writer.write_all(bytes).await?;
        writer.flush().await?;
        writer.shutdown().await
    };
    if let Ok(Err(error)) | Err(error) = timeout(FINISH_TIMEOUT, last).await.map_err(std::io::Error::from) {
        tracing::debug!(%error, "the connection did not end in order");
    }
}

/// Waits before the next attempt, unless the client is closed meanwhile.
async fn pause(shared: &Shared, millis: u64) {
    let over = tokio::time::Instant::now() + Duration::from_millis(millis);
    tokio::select! {
        () = sleep_until(over) => {}
        () = until_closed(shared) => {}
    }
}

/// Returns once the client is closed and has nothing to wait for.
async fn until_closed(shared: &Shared) {
    loop {
        if shared.with(|core, now| core.is_closing_done(now)) {
            return;
        }
        let timeout = shared.with(|core, _| core.next_timeout()).map(|at| shared.clock.at(at));
        tokio::select! {
            () = at(timeout) => shared.with(Core::handle_timeouts),
            () = shared.changed() => {}
        }
    }
}

pub(crate) async fn at(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A number that differs between clients that lost the same server. Nobody has to be unable to guess it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Bytes that are read at once, if there are as many.
const READ_BYTES: usize = 16 << 10;
/// Bytes that are written at once, if there are as many.
pub(crate) const WRITE_BYTES: usize = 64 << 10;
/// Time for the last bytes.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
