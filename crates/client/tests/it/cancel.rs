//! Every future of the library, dropped after so many polls: nothing is half done, and the ledger holds.

use crate::support::broker::{self, Kind, folder};
use crate::support::polls::at_most;
use crate::support::{hasty, in_memory, within};
use noctule_broker::testing::Broker;
use noctule_client::{Client, PublishHandle, QoS, State};
use std::time::Duration;

/// More polls than any of these futures needs.
const POLLS_MAX: usize = 6;

async fn connect(broker: &Broker) -> Client {
    // Room for one message, so that publishing waits too.
    let builder = Client::builder(&broker.url()).outbox(1, 1 << 20);
    within("a connection", builder.connect()).await.expect("connected")
}

/// Publishes the last message, and returns what came up to it.
async fn up_to_the_end(client: &Client, stream: &mut noctule_client::Subscription) -> Vec<String> {
    let end = within("room", client.publish("a", "end").qos(QoS::ExactlyOnce).into_future()).await;
    within("the answer", end.expect("taken")).await.expect("acknowledged");
    let mut came = Vec::new();
    loop {
        let message = within("a message", stream.next()).await.expect("open");
        match message.text() {
            Ok("end") => return came,
            text => came.push(text.expect("text").to_owned()),
        }
    }
}

#[tokio::test]
async fn publish_has_happened_exactly_if_it_was_awaited_to_its_end() {
    let broker = in_memory();
    let mut has_ended = false;
    for polls in 0..POLLS_MAX {
        let client = connect(&broker).await;
        let mut stream = client.subscribe("a").qos(QoS::ExactlyOnce).await.expect("granted");
        let first = client.publish("a", "first").qos(QoS::ExactlyOnce).await.expect("taken");
        let second = at_most(polls, client.publish("a", "second").qos(QoS::ExactlyOnce)).await;
        drop(first);
        let came = up_to_the_end(&client, &mut stream).await;
        match second {
            Some(handle) => {
                drop(handle.expect("taken"));
                assert_eq!(came, ["first", "second"], "after {polls} polls");
                has_ended = true;
            }
            None => assert_eq!(came, ["first"], "after {polls} polls"),
        }
        within("the end", client.close()).await;
    }
    assert!(has_ended, "{POLLS_MAX} polls are enough");
}

#[tokio::test]
async fn publish_to_disk_leaves_what_was_dropped_behind_the_handover_to_the_client() {
    let broker = in_memory();
    let files = folder("cancel-disk");
    let watcher = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let mut stream = watcher.subscribe("a").qos(QoS::ExactlyOnce).await.expect("granted");
    let (mut has_ended, mut was_dropped_behind) = (false, false);
    for polls in 0..POLLS_MAX {
        let builder = hasty(&broker.url(), "cancelled").outbox_on_disk(files.join(polls.to_string()));
        let client = builder.outbox(1, 1 << 20).connect_in_background().expect("an outbox");
        let publish = |text| client.publish("a", text).qos(QoS::ExactlyOnce).into_future();
        drop(within("the disk", publish("first")).await.expect("on disk"));
        let second = at_most(polls, publish("second")).await;
        let came = up_to_the_end(&client, &mut stream).await;
        match second {
            Some(handle) => {
                drop(handle.expect("on disk"));
                assert_eq!(came, ["first", "second"], "after {polls} polls");
                has_ended = true;
            }
            None if came.len() == 2 => was_dropped_behind = true,
            None => {}
        }
        assert!(came == ["first"] || came == ["first", "second"], "after {polls} polls: {came:?}");
        within("the end", client.close()).await;
        assert_eq!(client.metrics().unsettled, 0);
    }
    assert!(has_ended && was_dropped_behind);
}

#[tokio::test]
async fn what_is_acknowledged_by_hand_is_settled_and_nothing_else() {
    for polls in 0..POLLS_MAX {
        let mut broker = broker::Broker::start(Kind::Noctule, "cancel_ack");
        let client = hasty(&broker.url(), "worker");
        let client = within("a connection", client.connect()).await.expect("connected");
        let mut jobs = client.subscribe("a").qos(QoS::ExactlyOnce).manual_acks().await.expect("granted");
        for text in ["first", "second"] {
            let handle = client.publish("a", text).qos(QoS::ExactlyOnce).await.expect("taken");
            within("the answer", handle).await.expect("acknowledged");
        }
        let first = match at_most(polls, jobs.next()).await {
            Some(job) => job,
            None => within("a job", jobs.next()).await,
        };
        assert!(first.expect("open").ack());
        // One that is taken and dropped without a word, wherever it is dropped.
        drop(at_most(polls, jobs.next()).await);
        // Behind the acknowledgement of the first one.
        client.publish("b", "").await.expect("taken").await.expect("acknowledged");
        broker.crash();
        let again = within("the second job", jobs.next()).await.expect("open");
        assert_eq!(again.text(), Ok("second"), "after {polls} polls");
        assert!(again.ack());
        within("the end", client.close()).await;
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_leaves_the_next_one_its_answer() {
    let broker = in_memory();
    let client = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    let mut questions = client.subscribe("ask").await.expect("granted");
    let answering = client.clone();
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let text = question.text().expect("text").to_owned();
            answering.reply(&question, text).expect("it names a topic").await.expect("taken");
        }
    });
    let mut has_ended = false;
    for polls in 0..2 * POLLS_MAX {
        let Some(requester) = at_most(polls, client.requester()).await else { continue };
        let requester = requester.expect("granted");
        for polls in 0..2 * POLLS_MAX {
            let dropped = at_most(polls, requester.request("ask", "dropped")).await;
            has_ended |= dropped.is_some_and(|answer| answer.is_ok());
            let answer = within("the answer", requester.request("ask", "kept").into_future()).await;
            assert_eq!(answer.expect("answered").text(), Ok("kept"), "after {polls} polls");
        }
        break;
    }
    assert!(has_ended, "{} polls are enough", 2 * POLLS_MAX);
}

#[tokio::test]
async fn a_handle_may_be_dropped_at_any_time() {
    let broker = in_memory();
    for polls in 0..POLLS_MAX {
        let client = connect(&broker).await;
        let mut stream = client.subscribe("a").qos(QoS::ExactlyOnce).await.expect("granted");
        let handle: PublishHandle = client.publish("a", "x").qos(QoS::ExactlyOnce).await.expect("taken");
        at_most(polls, handle).await;
        assert_eq!(up_to_the_end(&client, &mut stream).await, ["x"], "after {polls} polls");
    }
}

#[tokio::test]
async fn subscribe_is_there_or_taken_back() {
    let broker = in_memory();
    let mut has_ended = false;
    for polls in 0..POLLS_MAX {
        let client = connect(&broker).await;
        let stream = at_most(polls, client.subscribe("a")).await;
        let has_stream = stream.is_some();
        let handle = client.publish("a", "x").await.expect("taken");
        let answer = within("the answer", handle).await.expect("acknowledged");
        let has_receiver = answer.reason_code() == noctule_client::ReasonCode::Success;
        assert_eq!(has_receiver, has_stream, "after {polls} polls");
        has_ended |= has_stream;
        within("the end", client.close()).await;
    }
    assert!(has_ended, "{POLLS_MAX} polls are enough");
}

#[tokio::test]
async fn next_takes_a_message_or_leaves_it() {
    let broker = in_memory();
    for polls in 0..POLLS_MAX {
        let client = connect(&broker).await;
        let mut stream = client.subscribe("a").qos(QoS::ExactlyOnce).await.expect("granted");
        let mut came = Vec::new();
        for number in 0..3 {
            let publish = client.publish("a", number.to_string()).qos(QoS::ExactlyOnce).into_future();
            drop(within("room", publish).await.expect("taken"));
            if let Some(message) = at_most(polls, stream.next()).await {
                came.push(message.expect("open").text().expect("text").to_owned());
            }
        }
        came.extend(up_to_the_end(&client, &mut stream).await);
        assert_eq!(came, ["0", "1", "2"], "after {polls} polls");
    }
}

#[tokio::test]
async fn close_goes_on_when_it_is_dropped_once_it_has_begun() {
    let broker = in_memory();
    for polls in 0..POLLS_MAX {
        let client = connect(&broker).await;
        let mut stream = client.subscribe("a").qos(QoS::ExactlyOnce).await.expect("granted");
        let handle = client.publish("a", "x").qos(QoS::ExactlyOnce).await.expect("taken");
        at_most(polls, client.close()).await;
        within("what was owed", handle).await.expect("acknowledged");
        if polls == 0 {
            // It has not begun.
            assert_eq!(up_to_the_end(&client, &mut stream).await, ["x"]);
            continue;
        }
        let mut state = client.state();
        within("the end", state.wait_for(State::is_closed)).await.expect("told");
        assert_eq!(client.metrics().unsettled, 0);
    }
}

#[tokio::test]
async fn connect_leaves_no_client_behind() {
    let broker = in_memory();
    let watcher = connect(&broker).await;
    let mut stream = watcher.subscribe("status").await.expect("granted");
    for polls in 0..POLLS_MAX {
        let presence = noctule_client::Presence::new("status", "on", "off").retain(false);
        let builder = Client::builder(&broker.url()).presence(presence);
        drop(at_most(polls, builder.connect()).await);
        let mut last = None;
        // Whoever has come is also gone.
        while let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(100), stream.next()).await {
            last = Some(message.text().expect("text").to_owned());
        }
        assert!(last.is_none() || last.as_deref() == Some("off"), "after {polls} polls: {last:?}");
    }
}
