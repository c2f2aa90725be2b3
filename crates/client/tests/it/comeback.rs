//! Coming back: what is kept, what is asked for again, who is thrown out.

use crate::support::broker::{Broker, EVERY, Kind, every_pair};
use crate::support::{hasty, in_memory, within};
use noctule_client::{Backoff, Client, IdConflict, State};
use std::time::Duration;

fn builder(url: &str) -> noctule_client::Builder {
    let backoff =
        Backoff { first: Duration::from_millis(20), max: Duration::from_millis(200), ..Backoff::default() };
    Client::builder(url).backoff(backoff)
}

async fn state(client: &Client, is_it: impl FnMut(&State) -> bool) -> State {
    let mut state = client.state();
    within("a state", state.wait_for(is_it)).await.expect("the client is there")
}

#[tokio::test]
async fn streams_and_messages_survive_a_crash_of_the_server() {
    for (kind, version) in every_pair() {
        let mut broker = Broker::start(kind, "crash");
        let client = within("a connection", builder(&broker.url()).version(version).connect()).await;
        let client = client.expect("connected");
        let mut messages = client.subscribe("a").await.expect("granted");
        broker.kill();
        state(&client, |state| !state.is_connected()).await;
        let handle = client.publish("a", "meanwhile").await.expect("taken while nobody is there");
        broker.crash();
        within("PUBACK", handle).await.expect("acknowledged");
        // Who subscribes again after what was owed has been sent does not get that.
        let again = within("PUBACK", async {
            client.publish("a", "after").await.expect("taken").await.expect("acknowledged");
            messages.next().await.expect("open")
        });
        assert!(matches!(again.await.text(), Ok("meanwhile" | "after")), "{kind:?} {version:?}");
        assert!(client.metrics().connections >= 2);
    }
}

#[tokio::test]
async fn a_session_of_an_earlier_run_is_taken_up_with_what_it_is_owed() {
    for kind in EVERY {
        let broker = Broker::start(kind, "earlier_run");
        let durable = || {
            let builder = builder(&broker.url()).client_id("panel").clean_start(false);
            builder.session_expiry(Duration::from_secs(600))
        };
        let first = within("a connection", durable().connect()).await.expect("connected");
        let stream = first.subscribe("a/+").await.expect("granted");
        // Closing first: what is dropped afterwards tells the server nothing.
        within("the end", first.close()).await;
        drop((stream, first));
        let sender = within("a connection", builder(&broker.url()).connect()).await.expect("connected");
        for number in ["1", "2", "3"] {
            sender.publish("a/b", number).await.expect("taken").await.expect("acknowledged");
        }
        let second = within("a connection", durable().connect()).await.expect("connected");
        state(&second, |state| matches!(state, State::Connected { session_present: true, .. })).await;
        let mut stream = second.subscribe("a/+").await.expect("granted");
        for number in ["1", "2", "3"] {
            let message = within("what is owed", stream.next()).await.expect("open");
            assert_eq!(message.text(), Ok(number), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn two_clients_with_one_id_are_told() {
    let broker = in_memory();
    let one = builder(&broker.url()).client_id("same");
    let one = within("a connection", one.connect()).await.expect("connected");
    let other = builder(&broker.url()).client_id("same");
    let _other = within("a connection", other.connect()).await.expect("connected");
    let conflict = state(&one, |state| matches!(state, State::IdConflict { .. })).await;
    let State::IdConflict { evidence, retry_in, client_id } = conflict else { unreachable!() };
    assert_eq!((evidence, &*client_id), (IdConflict::TakenOver, "same"));
    assert!(retry_in >= Duration::from_secs(5));
}

#[tokio::test]
async fn a_message_that_is_dropped_without_an_acknowledgement_comes_again() {
    for kind in EVERY {
        let mut broker = Broker::start(kind, "manual");
        let client = builder(&broker.url()).client_id("worker").session_expiry(Duration::from_secs(600));
        let client = within("a connection", client.clean_start(false).connect()).await.expect("connected");
        let mut jobs = client.subscribe("jobs").manual_acks().await.expect("granted");
        client.publish("jobs", "1").await.expect("taken").await.expect("acknowledged");
        drop(within("the job", jobs.next()).await.expect("open"));
        if kind == Kind::Mosquitto {
            // It writes what it knows when it ends in order, which a crash does not give it time for.
            continue;
        }
        broker.crash();
        let again = within("the job again", jobs.next()).await.expect("open");
        assert!(again.dup() && again.text() == Ok("1"));
        assert!(again.ack() && !again.ack());
    }
}

#[tokio::test]
async fn a_client_that_was_closed_before_its_streams_finds_what_came_meanwhile() {
    let broker = in_memory();
    let client = within("a connection", hasty(&broker.url(), "worker").connect()).await.expect("connected");
    let jobs = client.subscribe("jobs").await.expect("granted");
    within("the end", client.close()).await;
    drop(jobs);
    let other = within("a connection", Client::connect(&broker.url())).await.expect("connected");
    other.publish("jobs", "1").await.expect("taken").await.expect("acknowledged");

    let client = within("a connection", hasty(&broker.url(), "worker").connect()).await.expect("connected");
    let mut jobs = client.subscribe("jobs").await.expect("granted");
    assert_eq!(within("the job", jobs.next()).await.expect("open").text(), Ok("1"));
}
