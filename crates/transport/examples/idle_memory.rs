//! How much memory an idle connection takes in the server: plain, WebSocket, TLS.
//!
//! `cargo run --release -p noctule-transport --example idle_memory [CONNECTIONS]` (1,000 unless told otherwise).
//! The clients live in the same process, so what is counted is what grows when their ends are dropped again.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use std::{env, error, fs};

use noctule_transport::{
    Certificate, ClientCertificates, ClientTls, Host, ListenUrl, Listener, Origins, Read, ServerIdentity,
    ServerTls, Stream, WebSocketRules, WhatFollows,
};

type Outcome<T> = Result<T, Box<dyn error::Error>>;

fn main() -> Outcome<()> {
    let connections = env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    noctule_transport::raise_open_file_limit();
    let certified = rcgen::generate_simple_self_signed(["broker.lan".to_owned()])?;
    let (pem, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let path = Path::new("own.pem");
    let own = Certificate::from_pem((path, pem.as_bytes()), (path, key.as_bytes()), SystemTime::now())?;
    let follows = WhatFollows::Mqtt;
    let server = ServerTls::new(&[own], &ClientCertificates::NotAsked, follows)?;
    let client = ClientTls::new(&ServerIdentity::Unchecked, None, follows)?;
    let rules = Arc::new(WebSocketRules { path: "/mqtt".into(), origins: Origins::default() });

    // All are kept, because a later kind would live in the memory of an earlier one.
    let mut kept = Vec::new();
    for (name, with_tls, with_websocket) in
        [("plain", false, false), ("websocket", false, true), ("tls", true, false), ("both", true, true)]
    {
        let connect = |listener: &Listener, address| -> Outcome<Stream> {
            let mut dialled = Stream::dial(address, None)?;
            let mut accepted = loop {
                if let Some((stream, _)) = listener.accept()? {
                    break stream;
                }
            };
            if with_tls {
                accepted.serve_tls(&server)?;
                dialled.dial_tls(&client, "broker.lan")?;
            }
            if with_websocket {
                accepted.serve_websocket(Arc::clone(&rules), |_| None);
                dialled.dial_websocket("broker.lan", "/mqtt");
            }
            shake_hands(&mut dialled, &mut accepted)?;
            Ok(accepted)
        };
        let url = ListenUrl::tcp(Host::Address([127, 0, 0, 1].into()), 0);
        let listener = Listener::bind(&url)?.remove(0);
        let address = format!("127.0.0.1:{}", listener.url().port().unwrap_or_default()).parse()?;
        // The first few fill what is shared by all.
        let warm: Vec<Stream> = (0..50).map(|_| connect(&listener, address)).collect::<Outcome<_>>()?;
        let before = resident_bytes()?;
        let idle: Vec<Stream> =
            (0..connections).map(|_| connect(&listener, address)).collect::<Outcome<_>>()?;
        let grown = resident_bytes()?.saturating_sub(before);
        report(name, grown / connections);
        kept.push((warm, idle));
    }
    black_box(kept);
    Ok(())
}

/// Lets both ends talk until they are open and have nothing more to say.
fn shake_hands(dialled: &mut Stream, accepted: &mut Stream) -> Outcome<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut rounds_without_news = 0;
    while !dialled.is_open() || !accepted.is_open() || rounds_without_news < 2 {
        rounds_without_news += 1;
        for stream in [&mut *dialled, &mut *accepted] {
            stream.flush()?;
            match stream.read(&mut buffer)? {
                Read::Bytes { .. } => rounds_without_news = 0,
                Read::Hello => stream.answer_hello()?,
                Read::WouldBlock | Read::Closed => {}
            }
        }
    }
    Ok(())
}

/// The resident set of this process.
fn resident_bytes() -> Outcome<usize> {
    let status = fs::read_to_string("/proc/self/statm")?;
    let pages: usize =
        status.split_whitespace().nth(1).ok_or("no resident set in /proc/self/statm")?.parse()?;
    Ok(pages * 4096)
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
fn report(name: &str, bytes: usize) {
    println!("{name}: {bytes} bytes for an idle connection");
}
