//! A future that is dropped after so many polls.

use std::future::{Future, IntoFuture, poll_fn};
use std::task::Poll;

/// Polls a future at most so many times, then drops it.
pub(crate) async fn at_most<F: IntoFuture>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future.into_future());
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The last poll was in vain: nobody waits for it to be woken.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
