//! `spy`: stands between clients and a server, passes their bytes on as they are, and prints each packet.
//!
//! `tap` finds the packets in what passes, `fields` says what is in one, `report` makes lines of it; all three are
//! pure. Here is the machine. What passes is never changed, held back or refused, whatever is wrong with it.

mod fields;
mod report;
mod tap;

use crate::connect::{address, builder};
use crate::ending::Ending;
use crate::interrupts::Interrupts;
use crate::settings::Settings;
use crate::world::{Output, World};
use jiff::Zoned;
use report::{Event, Report};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tap::{Conversation, Side};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Runs the tool.
pub(crate) async fn run(settings: Settings, world: &mut World) -> Ending {
    match begin(settings, world).await {
        Ok(spy) => spy.serve().await,
        Err(ending) => ending,
    }
}

async fn begin(settings: Settings, world: &World) -> Result<Spy, Ending> {
    let interrupts = Interrupts::new()?;
    let listener = TcpListener::bind(&settings.listen)
        .await
        .map_err(|error| Ending::failed(&format!("cannot listen on {}: {error}", settings.listen)))?;
    let printer = Printer { report: Report::new(&settings), stdout: world.stdout.clone(), now: world.now };
    let place = listener.local_addr().map_or_else(|_| settings.listen.clone(), |place| place.to_string());
    let listening = Event::Listening { on: &place, to: &address(&settings) };
    printer.print(0, &listening).map_err(|error| Ending::unprinted(&error))?;
    Ok(Spy { settings: Arc::new(settings), interrupts, listener, printer })
}

struct Spy {
    settings: Arc<Settings>,
    interrupts: Interrupts,
    listener: TcpListener,
    printer: Printer,
}

impl Spy {
    /// Accepts clients until it is interrupted, or nobody reads what is printed.
    async fn serve(mut self) -> Ending {
        let mut connections = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                () = self.interrupts.next() => return Ending::done(),
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((client, _)) => {
                        number += 1;
                        let settings = Arc::clone(&self.settings);
                        connections.spawn(connection(number, client, settings, self.printer.clone()));
                    }
                    // The client has gone again, or there are too many open files: then some have to be closed first.
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(ended) = connections.join_next() => {
                    if let Ok(Err(error)) = ended {
                        return Ending::unprinted(&error);
                    }
                }
            }
        }
    }
}

/// Writes lines as a whole, each when it is known.
#[derive(Clone)]
struct Printer {
    report: Report,
    stdout: Output,
    now: fn() -> Zoned,
}

impl Printer {
    fn print(&self, connection: u64, event: &Event<'_>) -> io::Result<()> {
        let line = self.report.line(&(self.now)(), connection, event);
        let mut stdout = self.stdout.clone();
        stdout.write_all(line.as_bytes())?;
        stdout.flush()
    }
}

/// One client and its way to the server, until both have ended. The error is that of standard output.
async fn connection(
    number: u64,
    client: TcpStream,
    settings: Arc<Settings>,
    printer: Printer,
) -> io::Result<()> {
    let from = client.peer_addr().map_or_else(|_| "somewhere".to_owned(), |from| from.to_string());
    printer.print(number, &Event::Opened { from: &from })?;
    // Small packets pass as they came; the client's own choice cannot be seen from here.
    let _ = client.set_nodelay(true);
    let server = match builder(&settings).nodelay(true).dial().await {
        Ok(server) => server,
        Err(error) => return printer.print(number, &Event::NoServer { error: &error.to_string() }),
    };
    let relay = Relay { number, printer, conversation: Mutex::new(Conversation::new()) };
    let ((client_reader, client_writer), (server_reader, server_writer)) =
        (client.into_split(), split(server));
    let (client_bytes, server_bytes) = tokio::try_join!(
        relay.pump(Side::Client, client_reader, server_writer),
        relay.pump(Side::Server, server_reader, client_writer),
    )?;
    relay.printer.print(number, &Event::Ended { client_bytes, server_bytes })
}

struct Relay {
    number: u64,
    printer: Printer,
    conversation: Mutex<Conversation>,
}

impl Relay {
    /// Passes on what one side says until it ends. Gives the bytes that passed. What is printed is printed first, so
    /// that an answer never stands above what it answers.
    async fn pump(
        &self,
        side: Side,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> io::Result<u64> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut passed = 0;
        loop {
            // A side that is cut off has ended as well.
            let count = reader.read(&mut chunk).await.unwrap_or(0);
            if count == 0 {
                break;
            }
            passed += count as u64;
            self.show(|conversation, show| conversation.hear(side, &chunk[..count], show))?;
            if writer.write_all(&chunk[..count]).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
        self.show(|conversation, show| conversation.end(side, show))?;
        self.printer.print(self.number, &Event::Closed { side })?;
        // The other side may have gone already.
        let _ = writer.shutdown().await;
        Ok(passed)
    }

    fn show(&self, hear: impl FnOnce(&mut Conversation, &mut dyn FnMut(Event<'_>))) -> io::Result<()> {
        let mut printed = Ok(());
        let mut show = |event: Event<'_>| {
            if printed.is_ok() {
                printed = self.printer.print(self.number, &event);
            }
        };
        hear(&mut self.conversation.lock().unwrap_or_else(PoisonError::into_inner), &mut show);
        printed
    }
}

/// How much is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Connections at a time; further ones wait. Each takes two of the 1024 files that a process may have open by default.
const CONNECTIONS_MAX: usize = 400;
/// How long it waits after a client that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
