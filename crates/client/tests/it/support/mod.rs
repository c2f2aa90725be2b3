//! What the tests share: brokers to talk to, a network that fails, polls that are counted.

pub(crate) mod broker;
pub(crate) mod peer;
pub(crate) mod polls;
pub(crate) mod proxy;

use noctule_client::{Backoff, Builder, Client};
use std::future::Future;
use std::time::Duration;

/// The longest a step of a test may take; far above what any does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a step, and says which one did not come.
pub(crate) async fn within<T>(step: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{step} has not come within {PATIENCE:?}"),
    }
}

/// A broker that keeps nothing and cannot be killed, inside this process.
pub(crate) fn in_memory() -> noctule_broker::testing::Broker {
    noctule_broker::testing::Broker::start().expect("a free port")
}

/// A client of a network that is known to fail: it keeps its session, notices silence soon and comes back at once.
pub(crate) fn hasty(url: &str, client_id: &str) -> Builder {
    Client::builder(url)
        .client_id(client_id)
        .clean_start(false)
        .session_expiry(Duration::from_secs(3600))
        .keep_alive(Duration::from_secs(1))
        .response_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_secs(2))
        // A window that a connection gets through before it is cut.
        .inflight_max(20)
        .receive_maximum(20)
        .backoff(Backoff {
            first: Duration::from_millis(5),
            max: Duration::from_millis(20),
            short_lived: Duration::from_millis(1),
        })
}
