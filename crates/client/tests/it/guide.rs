//! The examples of the guide, `docs/client.md`, run against a broker in memory.
//!
//! Each block of Rust in the guide stands here too, word for word but for addresses and paths, with what it needs
//! around it; [`what_the_guide_shows_is_run`] looks that up.

#![expect(clippy::print_stdout, reason = "examples tell what has come")]

use crate::faces::scripted_proxy;
use crate::support::broker::folder;
use crate::support::{in_memory, within};
use noctule_broker::config::TlsClients;
use noctule_broker::testing;
use noctule_client::*;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Notify;

type Tested = Result<(), Box<dyn Error + Send + Sync>>;

/// What the guide writes as its readers would, and what stands for it here.
const STAND_INS: &[(&str, &str)] = &[
    ("\"mqtt://localhost\"", "url"),
    ("\"mqtts://broker.example?keepalive=30\"", "url"),
    ("\"/var/lib/sensor/outbox\"", "files"),
    ("\"ca.pem\"", "ca"),
    ("\"plant7.pem\"", "certificate"),
    ("\"plant7.key\"", "key"),
    ("\"http://proxy.example:3128\"", "proxy"),
];

#[test]
fn what_the_guide_shows_is_run() {
    let guide = include_str!("../../../../docs/client.md");
    let run = without_spaces(include_str!("guide.rs"));
    let blocks: Vec<&str> = guide.split("```rust\n").skip(1).collect();
    assert!(blocks.len() >= 12, "the guide has {} examples", blocks.len());
    for block in blocks {
        let shown = block.split("```").next().expect("a block ends");
        let mut wanted = shown.to_owned();
        for (written, stand_in) in STAND_INS {
            wanted = wanted.replace(written, stand_in);
        }
        assert!(run.contains(&without_spaces(&wanted)), "no test runs this:\n{shown}");
    }
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Another client of the same broker, which has published this.
async fn somebody_published(url: &str, topic: &str, payload: &str) -> Client {
    let client = within("a connection", Client::connect(url)).await.expect("connected");
    client.publish(topic, payload).retain(true).await.expect("taken").await.expect("acknowledged");
    client
}

/// Closes a client when so many messages have come, which ends its streams.
fn close_after(client: &Client, messages: u64) {
    let client = client.clone();
    tokio::spawn(async move {
        while client.metrics().received < messages {
            tokio::task::yield_now().await;
        }
        client.close().await;
    });
}

#[tokio::test]
async fn task_1_publish_and_know_that_it_arrived() -> Tested {
    let broker = in_memory();
    let url = &broker.url();

    let client = Client::connect(url).await?;
    let handle = client.publish("line1/temp", "21.5").await?; // this client is responsible for it
    let answer = handle.await?; // the server has acknowledged it
    if answer.reason_code() == ReasonCode::NoMatchingSubscribers {
        println!("nobody listens");
    }

    assert_eq!(answer.reason_code(), ReasonCode::NoMatchingSubscribers);
    Ok(())
}

#[tokio::test]
async fn task_2_subscribe() -> Tested {
    let broker = in_memory();
    let _other = somebody_published(&broker.url(), "line2/temp", "21.5").await;
    let client = Client::connect(&broker.url()).await?;
    close_after(&client, 1);

    let mut readings = client.subscribe(["line1/+", "line2/+"]).await?;
    while let Some(message) = readings.next().await {
        println!("{} = {}", message.topic(), message.text()?);
    }

    assert_eq!(client.metrics().received, 1);
    Ok(())
}

#[tokio::test]
async fn task_3_do_not_fall_behind() -> Tested {
    let broker = in_memory();
    let client = Client::connect(&broker.url()).await?;

    let positions =
        client.subscribe("fleet/+/position").buffer(100, 1 << 20).overflow(Overflow::DropOldest).await?;
    println!("{} were dropped", positions.dropped());

    let mut positions = positions;
    for number in 0..150 {
        client.publish("fleet/7/position", number.to_string()).await?.await?;
    }
    within("all of them", async {
        while client.metrics().received < 150 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(positions.dropped(), 50);
    assert_eq!(positions.next().await.expect("open").text(), Ok("50"));
    Ok(())
}

#[tokio::test]
async fn task_4_acknowledge_when_the_work_is_done() -> Tested {
    let broker = in_memory();
    let url = &broker.url();
    let _other = somebody_published(url, "jobs", "dig").await;
    let is_stored = Notify::new();
    let store = |payload: &[u8]| {
        is_stored.notify_one();
        payload == b"dig"
    };
    let work = async {
        let client = Client::builder(url).client_id("worker").clean_start(false).connect().await?;
        let mut jobs = client.subscribe("jobs").manual_acks().await?;
        while let Some(job) = jobs.next().await {
            match store(job.payload()) {
                true => job.ack(),
                false => job.reject(ReasonCode::ImplementationSpecificError),
            };
        }
        Tested::Ok(())
    };
    tokio::select! {
        ended = work => panic!("nobody has closed the client: {ended:?}"),
        () = within("the job", is_stored.notified()) => Ok(()),
    }
}

#[tokio::test]
async fn task_5_say_whether_you_are_there() -> Tested {
    let broker = in_memory();
    let url = &broker.url();
    let watcher = Client::connect(url).await?;
    let mut status = watcher.subscribe("status/plant7").await?;

    let presence = Presence::new("status/plant7", "online", "offline");
    let client = Client::builder(url).presence(presence).connect().await?;

    assert_eq!(within("the birth", status.next()).await.expect("open").text(), Ok("online"));
    client.close().await;
    assert_eq!(within("the end", status.next()).await.expect("open").text(), Ok("offline"));
    Ok(())
}

#[tokio::test]
async fn task_6_watch_the_connection() -> Tested {
    let broker = in_memory();
    let client = Client::connect(&broker.url()).await?;
    let closing = client.clone();
    tokio::spawn(async move { closing.close().await });

    let mut states = client.state();
    while let Some(state) = states.next().await {
        match state {
            State::Connected { session_present, .. } => println!("connected, known: {session_present}"),
            State::Waiting { retry_in, cause } => println!("{cause}; again in {retry_in:?}"),
            State::IdConflict { client_id, .. } => println!("somebody else is {client_id} too"),
            _ => {}
        }
    }

    assert!(client.state().get().is_closed());
    Ok(())
}

#[tokio::test]
async fn task_7_let_nothing_be_lost_with_the_process() -> Tested {
    let broker = in_memory();
    let (url, files) = (&broker.url(), folder("guide-outbox"));
    let watcher = Client::connect(url).await?;
    let mut readings = watcher.subscribe("line1/temp").await?;

    let client = Client::builder(url)
        .client_id("sensor-7")
        .outbox_on_disk(files)
        .outbox(100_000, 64 << 20)
        .outbox_ttl(Duration::from_secs(24 * 3600))
        .connect_in_background()?;
    client.publish("line1/temp", "21.5").qos(QoS::ExactlyOnce).await?; // it is on disk

    assert_eq!(within("the message", readings.next()).await.expect("open").text(), Ok("21.5"));
    Ok(())
}

/// Writes a certificate and its key, signed by itself.
fn certificate(folder: &Path, name: &str) -> Result<(PathBuf, PathBuf), Box<dyn Error + Send + Sync>> {
    let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&certificate, certified.cert.pem())?;
    std::fs::write(&key, certified.signing_key.serialize_pem())?;
    Ok((certificate, key))
}

#[tokio::test]
async fn task_8_tls_certificates_proxies() -> Tested {
    let files = folder("guide-tls");
    let (ca, server_key) = certificate(&files, "localhost")?;
    let (certificate, key) = certificate(&files, "plant7")?;
    let mut config = testing::config();
    config.listen = vec!["tls://127.0.0.1:0".parse()?];
    config.tls.certificate = vec![ca.display().to_string()];
    config.tls.key = vec![server_key.display().to_string()];
    config.tls.client_ca = certificate.display().to_string();
    config.tls.client_certificates = TlsClients::Required;
    let broker = testing::Broker::start_with(config)?;
    let port = broker.address().port();
    let url = &format!("mqtts://localhost:{port}?keepalive=30");
    let asks = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").into_bytes();
    let proxy = scripted_proxy(broker.address(), vec![(asks, b"HTTP/1.1 200 OK\r\n\r\n".to_vec())]).await;
    let proxy = &format!("http://{proxy}");

    let client =
        Client::builder(url).ca_file(ca).client_certificate(certificate, key).proxy(proxy).connect().await?;

    assert!(client.is_connected());
    Ok(())
}

#[tokio::test]
async fn task_9_ask_and_answer() -> Tested {
    let broker = in_memory();
    let url = &broker.url();
    let pump = Client::connect(url).await?;
    tokio::spawn(async move {
        let client = pump;

        let mut questions = client.subscribe("pump/start").await?;
        while let Some(question) = questions.next().await {
            if let Some(reply) = client.reply(&question, "done") {
                reply.await?;
            }
        }

        Tested::Ok(())
    });
    let client = Client::connect(url).await?;
    // Nobody answers before the other one has subscribed.
    while client.publish("pump/start", "").await?.await?.reason_code() != ReasonCode::Success {
        tokio::task::yield_now().await;
    }

    let requester = client.requester().await?;
    let answer = requester.request("pump/start", "now").timeout(Duration::from_secs(5)).await?;

    assert_eq!(answer.text(), Ok("done"));
    Ok(())
}

#[test]
fn task_10_without_async() -> Tested {
    let broker = in_memory();
    let url = &broker.url();

    use noctule_client::blocking::Wait as _;

    let client = Client::builder(url).connect_blocking()?;
    let mut readings = client.subscribe("line1/+").wait()?;
    client.publish("line1/temp", "21.5").wait()?.wait()?;
    for message in readings.iter().take(1) {
        println!("{}", message.topic());
    }

    assert_eq!(client.metrics().received, 1);
    client.close().wait();
    Ok(())
}

#[tokio::test]
async fn typed_messages() -> Tested {
    let broker = in_memory();
    let client = Client::connect(&broker.url()).await?;
    close_after(&client, 1);

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Reading {
        celsius: f64,
    }

    let mut readings = client.subscribe("line1/+").await?.typed::<Json<Reading>>();
    client.publish("line1/temp", Json(Reading { celsius: 21.5 })).await?;
    while let Some(reading) = readings.next().await {
        match reading {
            Ok(reading) => println!("{}: {} °C", reading.message.topic(), reading.value.0.celsius),
            Err(unreadable) => println!("{unreadable}"),
        }
    }

    assert_eq!(client.metrics().received, 1);
    Ok(())
}

#[tokio::test]
async fn servers_that_send_you_elsewhere() -> Tested {
    let broker = in_memory();
    let url = &broker.url();

    let builder = Client::builder(url);
    let builder = builder.server_references(ServerReferences::Within(vec!["*.broker.example".into()]));

    builder.connect().await?;
    Ok(())
}

#[tokio::test]
async fn a_late_display_shows_the_last_reading() -> Result<(), Box<dyn std::error::Error>> {
    let broker = noctule_broker::testing::Broker::start()?; // in memory, on a free port
    let sensor = Client::connect(&broker.url()).await?;
    sensor.publish("line1/temp", "21.5").retain(true).await?.await?;

    let display = Client::connect(&broker.url()).await?;
    let mut readings = display.subscribe("line1/+").await?;
    let reading = readings.next().await.expect("the client is not closed");
    assert_eq!(reading.text()?, "21.5");
    Ok(()) // dropped, the broker has ended: its clients are told, its threads joined, its port free
}
