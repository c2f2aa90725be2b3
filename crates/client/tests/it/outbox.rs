//! The outbox on disk: what was published before the process ended is sent by the next one.

use crate::support::broker::{Broker, EVERY, Kind, folder, free_address};
use crate::support::{in_memory, within};
use noctule_client::{Backoff, BuildError, Builder, Client, NotSent, OutboxError, PublishError, QoS};
use std::path::Path;
use std::time::Duration;

fn builder(url: &str, folder: &Path) -> Builder {
    Client::builder(url).client_id("sensor").outbox_on_disk(folder)
}

/// A killed process lets go of its files at once; a runtime may still be writing.
fn connect_when_free(url: &str, folder: &Path) -> Client {
    when_free(|| builder(url, folder).session_expiry(Duration::from_secs(3600)))
}

fn when_free(builder: impl Fn() -> Builder) -> Client {
    loop {
        match builder().connect_in_background() {
            Ok(client) => return client,
            Err(BuildError::Outbox(OutboxError::InUse { .. })) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A runtime that ends as a killed process does: no task gets to say a last word.
fn in_a_process(run: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run);
    runtime.shutdown_background();
}

#[test]
fn what_was_published_offline_is_sent_by_the_next_process() {
    for kind in EVERY {
        let files = folder(&format!("outbox-{kind:?}"));
        let nobody = format!("mqtt://{}", free_address());
        in_a_process(async {
            let client = builder(&nobody, &files).connect_in_background().expect("an outbox");
            for number in 0..50 {
                let publish = client.publish("t", number.to_string()).qos(QoS::ExactlyOnce);
                drop(within("the disk", publish.into_future()).await.expect("on disk"));
            }
            std::mem::forget(client);
        });
        let broker = Broker::start(kind, "outbox");
        in_a_process(async {
            let watcher = within("a connection", Client::connect(&broker.url())).await.expect("connected");
            let mut came = watcher.subscribe("t").qos(QoS::ExactlyOnce).await.expect("granted");
            let client = connect_when_free(&broker.url(), &files);
            for number in 0..50 {
                let message = within("what was owed", came.next()).await.expect("open");
                assert_eq!(message.text(), Ok(&*number.to_string()), "{kind:?}");
            }
            within("the end", client.close()).await;
            assert_eq!(client.metrics().unsettled, 0);
        });
        in_a_process(async {
            let client = connect_when_free(&broker.url(), &files);
            assert_eq!(client.metrics().unsettled, 0, "nothing is sent twice");
        });
    }
}

#[test]
fn a_process_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    const ROUNDS: u32 = 12;
    const EACH: u32 = 20;
    let files = folder("outbox-killed");
    let broker = Broker::start(Kind::Noctule, "outbox_killed");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut came = runtime.block_on(async {
        let watcher = within("a connection", Client::connect(&broker.url())).await.expect("connected");
        watcher.subscribe("t").qos(QoS::ExactlyOnce).await.expect("granted")
    });
    for round in 0..ROUNDS {
        in_a_process(async {
            let client = connect_when_free(&broker.url(), &files);
            for number in 0..EACH {
                let publish = client.publish("t", (round * EACH + number).to_string()).qos(QoS::ExactlyOnce);
                let handle = within("the disk", publish.into_future()).await.expect("on disk");
                // Killed wherever the exchange has come to by then.
                if number == round {
                    within("an answer", handle).await.expect("acknowledged");
                }
            }
            std::mem::forget(client);
        });
    }
    runtime.block_on(async {
        let client = connect_when_free(&broker.url(), &files);
        for number in 0..ROUNDS * EACH {
            let message = within("what was owed", came.next()).await.expect("open");
            assert_eq!(message.text(), Ok(&*number.to_string()));
        }
        within("the end", client.close()).await;
        let more = tokio::time::timeout(Duration::from_millis(100), came.next()).await;
        assert!(more.is_err(), "and nothing else: {more:?}");
    });
}

#[test]
fn it_is_bounded_in_bytes_and_in_time_also_over_runs() {
    let files = folder("outbox-bounds");
    let nobody = format!("mqtt://{}", free_address());
    in_a_process(async {
        let client = builder(&nobody, &files).outbox(1000, 100).connect_in_background().expect("an outbox");
        let publish = client.publish("t", vec![0; 90]).into_future();
        drop(within("the disk", publish).await.expect("there is room"));
        assert!(matches!(client.publish("t", vec![0; 90]).try_now(), Err(PublishError::OutboxFull)));
        within("the end", client.close_within(Duration::ZERO)).await;
    });
    in_a_process(async {
        let backoff = Backoff { first: Duration::from_millis(20), ..Backoff::default() };
        let client = when_free(|| {
            let young = builder(&nobody, &files).outbox(1000, 100).outbox_ttl(Duration::from_millis(1));
            young.backoff(backoff)
        });
        // There is room once an attempt has found what the run before has left too old, though nobody is there.
        let publish = client.publish("t", vec![0; 90]).into_future();
        let handle = within("room", publish).await.expect("there is room again");
        let expired = within("its end", handle).await.expect_err("too old");
        assert!(matches!(expired, PublishError::NotSent(NotSent::Expired)), "{expired}");
    });
}

#[tokio::test]
async fn it_is_one_clients() {
    let files = folder("outbox-owner");
    let url = format!("mqtt://{}", free_address());
    let _client = builder(&url, &files).connect_in_background().expect("an outbox");
    let other = builder(&url, &files).connect_in_background();
    assert!(matches!(other, Err(BuildError::Outbox(OutboxError::InUse { .. }))));
    let nameless = Client::builder(&url).outbox_on_disk(&files).connect_in_background();
    assert!(matches!(nameless, Err(BuildError::OutboxWithoutClientId)));
}

#[tokio::test]
async fn a_client_that_has_closed_has_given_its_folder_back() {
    let (broker, files) = (in_memory(), folder("outbox-given-back"));
    for _ in 0..20 {
        let client = within("a connection", builder(&broker.url(), &files).connect()).await;
        let client = client.expect("the folder is free");
        within("the disk", client.publish("t", "x").into_future()).await.expect("on disk");
        within("the end", client.close()).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_refuses_does_not_keep_a_client_from_closing() {
    let (broker, files) = (in_memory(), folder("outbox-full"));
    std::fs::create_dir_all(&files).expect("a writable folder");
    let client = within("a connection", builder(&broker.url(), &files).connect()).await.expect("an outbox");
    within("the disk", client.publish("t", "kept").into_future()).await.expect("on disk");
    // What replaces the file cannot be made: the log is rewritten once it has grown enough.
    std::fs::create_dir(files.join("outbox.new")).expect("a writable folder");
    let refused = loop {
        let publish = client.publish("t", vec![0; 300_000]).into_future();
        if tokio::time::timeout(Duration::from_millis(500), publish).await.is_err() {
            break client.metrics().unsettled;
        }
    };
    assert!(refused > 0);
    within("the end", client.close_within(Duration::from_millis(50))).await;
    std::fs::remove_dir(files.join("outbox.new")).expect("it is there");
    let next =
        within("a connection", builder(&broker.url(), &files).connect()).await.expect("the folder is free");
    within("the end", next.close()).await;
}
