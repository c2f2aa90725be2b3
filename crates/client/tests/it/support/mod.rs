//! What the tests share: brokers to talk to, a network that fails, polls that are counted.

pub(crate) mod broker;
pub(crate) mod polls;
pub(crate) mod proxy;

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
