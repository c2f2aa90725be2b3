//! The same client without async: every future of this crate can be waited for.
//!
//! ```no_run
//! use noctule_client::Client;
//! use noctule_client::blocking::Wait as _;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("mqtt://localhost").connect_blocking()?;
//! let mut messages = client.subscribe("greetings/#").wait()?;
//! client.publish("greetings/world", "hello").wait()?.wait()?;
//! for message in messages.iter() {
//!     println!("{}: {}", message.topic(), message.text()?);
//!     # break;
//! }
//! client.close().wait();
//! # Ok(())
//! # }
//! ```
//!
//! The drivers of all clients that are made in this way share one thread. Waiting blocks the calling thread; in async
//! code use `.await`.

use crate::builder::{BuildError, Builder, ConnectError};
use crate::client::Client;
use crate::message::Message;
use crate::subscription::Subscription;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::runtime::{self, Handle};

/// Waiting for a future, on this thread.
pub trait Wait: IntoFuture + Sized {
    /// Waits for as long as it takes.
    fn wait(self) -> Self::Output {
        wait_until(self, None).expect("without a deadline it is waited for")
    }

    /// Waits for so long; `None` if that was not enough. The future is dropped then.
    fn wait_for(self, timeout: Duration) -> Option<Self::Output> {
        wait_until(self, Instant::now().checked_add(timeout))
    }
}

impl<F: IntoFuture> Wait for F {}

/// The messages of a subscription, one after another, until no more comes.
#[derive(Debug)]
pub struct Messages<'a>(&'a mut Subscription);

impl Subscription {
    /// The messages, for a loop that waits for each.
    pub fn iter(&mut self) -> Messages<'_> {
        Messages(self)
    }
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.0.next().wait()
    }
}

impl Builder {
    /// As [`connect`](Self::connect), without a runtime of the caller's.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_blocking(self) -> Result<Client, ConnectError> {
        self.connect_on(own_runtime()?).wait()
    }

    /// As [`connect_in_background`](Self::connect_in_background), without a runtime of the caller's.
    ///
    /// # Errors
    /// As [`connect_in_background`](Self::connect_in_background).
    pub fn connect_blocking_in_background(self) -> Result<Client, BuildError> {
        self.start(false, own_runtime()?)
    }
}

/// The runtime of this process for clients that bring none, on a thread of its own.
fn own_runtime() -> Result<Handle, BuildError> {
    static RUNTIME: OnceLock<Option<Handle>> = OnceLock::new();
    RUNTIME.get_or_init(start_runtime).clone().ok_or(BuildError::NoRuntime)
}

fn start_runtime() -> Option<Handle> {
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build().ok()?;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("noctule-client".into()).spawn(run).ok()?;
    Some(handle)
}

fn wait_until<F: IntoFuture>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future.into_future());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.checked_duration_since(Instant::now())?;
                thread::park_timeout(left);
            }
        }
    }
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
