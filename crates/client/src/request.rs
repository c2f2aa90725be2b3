//! Asking others and getting their answers, by response topic and correlation data of MQTT 5.0.

use crate::client::Client;
use crate::error::{PublishError, SubscribeError};
use crate::message::Message;
use crate::payload::IntoPayload;
use crate::publish::Publish;
use crate::subscription::Subscription;
use noctule_codec::QoS;
use std::collections::HashMap;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Asks others; made by [`Client::requester`]. All its requests share one response topic.
#[derive(Debug)]
pub struct Requester {
    client: Client,
    response_topic: String,
    waiting: Arc<Waiting>,
    dispatcher: JoinHandle<()>,
}

/// A question; made by [`Requester::request`].
///
/// It is a future: awaited, it gives the answer.
#[derive(Debug)]
#[must_use = "a request is made when this is awaited"]
pub struct Request {
    publish: Publish,
    number: u64,
    timeout: Duration,
    waiting: Arc<Waiting>,
    client: Client,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The question was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Nobody has answered in time.
    #[error("nobody has answered within {timeout:?}")]
    Timeout {
        /// How long was waited.
        timeout: Duration,
    },
    /// The client or the requester is gone.
    #[error("the requester is closed")]
    Closed,
}

/// Who waits for which answer, by correlation data. `None` once no more answers come.
#[derive(Debug)]
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<Message>>>>);

impl Requester {
    pub(crate) async fn new(client: Client) -> Result<Self, SubscribeError> {
        static REQUESTERS: AtomicU64 = AtomicU64::new(0);
        let number = REQUESTERS.fetch_add(1, Ordering::Relaxed);
        // A client id may hold characters that a topic cannot.
        let client_id = client.client_id().replace(['+', '#'], "_");
        let response_topic = format!("response/{client_id}/{number}");
        let answers = client.subscribe(&*response_topic).await?;
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        let dispatcher = client.shared().runtime.spawn(dispatch(answers, Arc::clone(&waiting)));
        Ok(Self { client, response_topic, waiting, dispatcher })
    }

    /// Asks on a topic, at QoS 1, with ten seconds for the answer unless the builder that is returned is told
    /// otherwise.
    pub fn request(&self, topic: &str, payload: impl IntoPayload) -> Request {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let publish = self.client.publish(topic, payload).response_topic(&self.response_topic);
        Request {
            publish: publish.correlation_data(&number.to_be_bytes()),
            number,
            timeout: TIMEOUT,
            waiting: Arc::clone(&self.waiting),
            client: self.client.clone(),
        }
    }
}

impl Drop for Requester {
    fn drop(&mut self) {
        self.dispatcher.abort();
        self.waiting.close();
    }
}

impl Request {
    /// At which QoS the question is published; 1 unless this says otherwise.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.publish = self.publish.qos(qos);
        self
    }

    /// How long to wait for the answer; ten seconds unless this says otherwise. The question expires with it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Anything else that [`Publish`] can be told.
    pub fn publish(mut self, tell: impl FnOnce(Publish) -> Publish) -> Self {
        self.publish = tell(self.publish);
        self
    }

    async fn ask(self) -> Result<Message, RequestError> {
        let Self { publish, number, timeout, waiting, client } = self;
        let sleep = {
            // Whoever waits may have no runtime.
            let _entered = client.shared().runtime.enter();
            tokio::time::sleep(timeout)
        };
        let answer = waiting.expect(number)?;
        let work = async {
            // An answer may be there before the acknowledgement; a refused question has none.
            let mut handle = pin!(publish.expiry(timeout).await?);
            let (mut answer, mut is_published) = (pin!(answer.future()), false);
            poll_fn(|context| {
                if let Poll::Ready(message) = answer.as_mut().poll(context) {
                    return Poll::Ready(message.ok_or(RequestError::Closed));
                }
                if !is_published && let Poll::Ready(published) = handle.as_mut().poll(context) {
                    is_published = true;
                    if let Err(error) = published {
                        return Poll::Ready(Err(error.into()));
                    }
                }
                Poll::Pending
            })
            .await
        };
        let (mut sleep, mut work) = (pin!(sleep), pin!(work));
        poll_fn(|context| match (work.as_mut().poll(context), sleep.as_mut().poll(context)) {
            (Poll::Ready(answer), _) => Poll::Ready(answer),
            (_, Poll::Ready(())) => Poll::Ready(Err(RequestError::Timeout { timeout })),
            _ => Poll::Pending,
        })
        .await
    }
}

impl IntoFuture for Request {
    type Output = Result<Message, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.ask())
    }
}

/// A place in the table of those who wait. Dropped, it is given up.
struct Expected {
    number: u64,
    waiting: Arc<Waiting>,
    answer: oneshot::Receiver<Message>,
}

impl Expected {
    async fn future(mut self) -> Option<Message> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.table().as_mut() {
            waiting.remove(&self.number);
        }
    }
}

impl Waiting {
    fn expect(self: &Arc<Self>, number: u64) -> Result<Expected, RequestError> {
        let (sender, answer) = oneshot::channel();
        self.table().as_mut().ok_or(RequestError::Closed)?.insert(number, sender);
        Ok(Expected { number, waiting: Arc::clone(self), answer })
    }

    /// Gives an answer to who waits for it. One that comes too late is nobody's.
    fn give(&self, answer: Message) {
        let number = answer.correlation_data().and_then(|data| data.try_into().ok()).map(u64::from_be_bytes);
        let sender = number.and_then(|number| self.table().as_mut()?.remove(&number));
        if let Some(sender) = sender {
            // Who asked may not be there any more.
            let _ = sender.send(answer);
        }
    }

    fn close(&self) {
        *self.table() = None;
    }

    fn table(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Message>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out answers until the client is closed.
async fn dispatch(mut answers: Subscription, waiting: Arc<Waiting>) {
    while let Some(answer) = answers.next().await {
        waiting.give(answer);
    }
    waiting.close();
}

/// How long an answer may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
