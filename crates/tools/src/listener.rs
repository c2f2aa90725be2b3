//! The connection of the tools that watch: it subscribes, hands messages over, and comes back when it was lost.
//!
//! [`Listener::next`] may be dropped at any time and loses nothing, so that a tool can wait for keys and for time
//! beside it.

use crate::connect::{connect, turned_away};
use crate::ending::Ending;
use crate::publish::reopen;
use crate::settings::Settings;
use crate::subscribe::subscription_options;
use crate::world::World;
use noctule_client::Connection;
use noctule_client::machine::{Delivery, DisconnectCause, Event, Receipt};
use noctule_codec::{PacketType, PropertyPlace, ProtocolVersion, ReasonCode, SubscribeFilters};
use noctule_topic::matches;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// Hears what comes for the filters of the settings.
pub(crate) struct Listener {
    settings: Settings,
    way: Way,
    ending: Option<Ending>,
}

/// What a watching tool is told.
pub(crate) enum Heard {
    /// The server has answered; it refuses these filters.
    Subscribed { refused: Vec<String> },
    /// A message came. It is acknowledged when the tool says so.
    Message(Delivery),
    /// The connection was lost; it is being opened again.
    Lost,
    /// There is nothing more to hear.
    Ended(Ending),
}

enum Way {
    Open(Box<Connection>),
    /// Kept here, not in `next`, so that dropping that future does not begin it anew.
    Opening(Pin<Box<dyn Future<Output = Box<Connection>> + Send>>),
    Gone,
}

impl Listener {
    /// Opens the connection that the settings describe.
    pub(crate) async fn open(settings: &Settings, world: &World) -> Result<Self, Ending> {
        let connection = connect(settings, world).await?;
        Ok(Self { settings: settings.clone(), way: Way::Open(Box::new(connection)), ending: None })
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            match &mut self.way {
                Way::Open(connection) => match connection.next().await {
                    Some(event) => {
                        if let Some(heard) = self.handle(event) {
                            return heard;
                        }
                    }
                    None => return self.ended(),
                },
                Way::Opening(opening) => self.way = Way::Open(opening.await),
                Way::Gone => return Heard::Ended(self.ending.take().unwrap_or_else(Ending::done)),
            }
        }
    }

    /// Acknowledges a message that has been shown or written.
    pub(crate) fn acknowledge(&mut self, receipt: Option<Receipt>) {
        if let (Way::Open(connection), Some(receipt)) = (&mut self.way, receipt) {
            connection.acknowledge(receipt);
        }
    }

    /// Says goodbye, to a server that has let it in. One that does not listen is not waited for.
    pub(crate) async fn close(mut self) {
        let is_asked = self.disconnect();
        if let (true, Way::Open(mut connection)) = (is_asked, self.way) {
            let _ = timeout(GOODBYE_TIMEOUT, async { while connection.next().await.is_some() {} }).await;
        }
    }

    fn handle(&mut self, event: Event) -> Option<Heard> {
        if let Way::Open(connection) = &mut self.way
            && let Some(ending) = turned_away(&event, &self.settings, connection)
        {
            self.ending = Some(ending);
            return None;
        }
        match event {
            Event::Connected { .. } => self.subscribe(),
            Event::Subscribed { reason_codes, .. } => return self.subscribed(&reason_codes),
            Event::Message(message) => return self.heard(message),
            Event::Disconnected { cause } => self.disconnected(&cause),
            _ => {}
        }
        None
    }

    fn subscribe(&mut self) {
        let Way::Open(connection) = &mut self.way else { return };
        let options = subscription_options(&self.settings);
        let filters: SubscribeFilters<'_> =
            self.settings.filters.iter().map(|filter| (filter.as_str(), options)).collect();
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        if let Err(error) = connection.subscribe(filters, self.settings.properties.checked(place)) {
            self.ending.get_or_insert(Ending::failed(&error.to_string()));
            self.disconnect();
        }
    }

    fn subscribed(&mut self, reason_codes: &[ReasonCode]) -> Option<Heard> {
        let answers = self.settings.filters.iter().zip(reason_codes);
        let refused = answers.filter(|(_, code)| code.is_error());
        let refused: Vec<String> =
            refused.map(|(filter, code)| format!("{filter}: {}", code.name())).collect();
        match reason_codes.first() {
            Some(first) if refused.len() == reason_codes.len() => {
                self.ending.get_or_insert(Ending::denied(self.settings.tool, *first));
                self.disconnect();
                None
            }
            _ => Some(Heard::Subscribed { refused }),
        }
    }

    /// What is left out is acknowledged at once.
    fn heard(&mut self, message: Delivery) -> Option<Heard> {
        if self.is_wanted(&message) {
            return Some(Heard::Message(message));
        }
        self.acknowledge(message.receipt);
        None
    }

    /// In MQTT 5 the server leaves out retained messages itself, and the flag is the publisher's.
    fn is_wanted(&self, message: &Delivery) -> bool {
        let is_stale = message.retain && self.settings.version != ProtocolVersion::V5;
        if is_stale && self.settings.no_retained {
            return false;
        }
        !self.settings.filters_out.iter().any(|filter| matches(filter, &message.topic))
    }

    /// Whether there is a connection to end.
    fn disconnect(&mut self) -> bool {
        let Way::Open(connection) = &mut self.way else { return false };
        let place = PropertyPlace::Packet(PacketType::Disconnect);
        connection
            .disconnect(ReasonCode::NORMAL_DISCONNECTION, self.settings.properties.checked(place))
            .is_ok()
    }

    fn disconnected(&mut self, cause: &DisconnectCause) {
        if Ending::is_for_good(cause) {
            self.ending.get_or_insert(Ending::disconnected(cause));
        }
    }

    /// The connection has ended: for good, or it is opened again.
    fn ended(&mut self) -> Heard {
        match (self.ending.take(), std::mem::replace(&mut self.way, Way::Gone)) {
            (None, Way::Open(mut connection)) => {
                self.way = Way::Opening(Box::pin(async move {
                    reopen(&mut connection).await;
                    connection
                }));
                Heard::Lost
            }
            (ending, _) => Heard::Ended(ending.unwrap_or_else(Ending::done)),
        }
    }
}

/// Tells of filters that the server refuses.
pub(crate) fn warn(refused: &[String], settings: &Settings, world: &mut World) {
    for refused in refused.iter().filter(|_| !settings.quiet) {
        world.complain(&format!("Warning: not subscribed to {refused}"));
    }
}

/// Tells that the connection was lost.
pub(crate) fn tell_lost(settings: &Settings, world: &mut World) {
    if !settings.quiet {
        world.complain(LOST);
    }
}

/// What is told of a lost connection.
pub(crate) const LOST: &str = "The connection was lost; trying again.";
/// How long a server may take to let the last bytes go.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
