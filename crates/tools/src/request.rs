//! `request`: publishes a request and prints the first message on the response topic.

use crate::connect::{connect, turned_away};
use crate::ending::Ending;
use crate::print::Printer;
use crate::program::Tool;
use crate::publish::payload;
use crate::settings::Settings;
use crate::subscribe::{at, interruption, subscription_options};
use crate::world::World;
use noctule_client::Connection;
use noctule_client::machine::{Delivery, Event, Message, PublishError};
use noctule_codec::{
    PacketType, Properties, Property, PropertyPlace, ProtocolVersion, ReasonCode, SubscribeFilters,
};
use std::io::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// Runs the tool.
pub(crate) async fn run(mut settings: Settings, world: &mut World) -> Ending {
    let payload = match payload(&mut settings, world) {
        Ok(payload) => payload,
        Err(ending) => return ending,
    };
    let connection = match connect(&settings, world).await {
        Ok(connection) => connection,
        Err(ending) => return ending,
    };
    let deadline = settings.timeout.map(|timeout| Instant::now() + timeout);
    let printer = Printer::new(&settings);
    Asking { settings, connection, payload, printer, asked_at: None, ending: None }.run(deadline, world).await
}

struct Asking {
    settings: Settings,
    connection: Connection,
    payload: Vec<u8>,
    printer: Printer,
    /// When the request left.
    asked_at: Option<Instant>,
    ending: Option<Ending>,
}

impl Asking {
    async fn run(mut self, mut deadline: Option<Instant>, world: &mut World) -> Ending {
        loop {
            let event = tokio::select! {
                biased;
                () = at(deadline) => {
                    deadline = None;
                    self.end(interruption(self.settings.version), Ending::timed_out());
                    continue;
                }
                event = self.connection.next() => event,
            };
            match event {
                Some(event) => self.handle(event, world),
                None => return self.ending.unwrap_or_else(Ending::lost),
            }
        }
    }

    fn handle(&mut self, event: Event, world: &mut World) {
        if let Some(ending) = turned_away(&event, &self.settings, &mut self.connection) {
            self.ending = Some(ending);
            return;
        }
        match event {
            Event::Connected { .. } => self.subscribe(),
            Event::Subscribed { reason_codes, .. } => match reason_codes.first() {
                Some(code) if code.is_error() => {
                    self.end(ReasonCode::NORMAL_DISCONNECTION, Ending::denied(Tool::Request, *code));
                }
                _ => self.ask(),
            },
            Event::Message(message) => self.answered(&message, world),
            Event::Disconnected { cause } => {
                self.ending.get_or_insert(Ending::disconnected(&cause));
            }
            _ => {}
        }
    }

    fn subscribe(&mut self) {
        let topic = self.settings.response_topic.as_deref().unwrap_or_default();
        let filters: SubscribeFilters<'_> =
            [(topic, subscription_options(&self.settings))].into_iter().collect();
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        let asked = self.connection.subscribe(filters, self.settings.properties.checked(place));
        if let Err(error) = asked {
            self.end(ReasonCode::NORMAL_DISCONNECTION, Ending::failed(&error.to_string()));
        }
    }

    fn ask(&mut self) {
        let properties = self.properties();
        let message = Message {
            topic: self.settings.topic.as_deref().unwrap_or_default(),
            payload: &self.payload,
            qos: self.settings.qos,
            retain: false,
            properties,
        };
        self.asked_at = Some(Instant::now());
        match self.connection.publish(&message) {
            // Its end is the next event, and says why.
            Ok(_) | Err(PublishError::NotConnected) => {}
            Err(error) => self.end(ReasonCode::NORMAL_DISCONNECTION, Ending::unpublishable(error)),
        }
    }

    /// The properties of the request, with where the answer is awaited.
    fn properties(&self) -> Properties<'static> {
        let asked = self.settings.properties.checked(PropertyPlace::Packet(PacketType::Publish));
        match &self.settings.response_topic {
            Some(topic) if self.settings.version == ProtocolVersion::V5 => {
                asked.with(Property::ResponseTopic(topic))
            }
            _ => asked,
        }
    }

    fn answered(&mut self, message: &Delivery, world: &mut World) {
        if let Some(receipt) = message.receipt {
            self.connection.acknowledge(receipt);
        }
        let is_stale = message.retain && self.settings.no_retained;
        if self.ending.is_some() || is_stale {
            return;
        }
        let took = self.asked_at.map(|asked_at| asked_at.elapsed());
        let latency = took.filter(|_| self.settings.latency);
        let printed = self.printer.print(message, world).and_then(|()| match latency {
            Some(took) => {
                writeln!(world.stdout, "Latency: {}", duration(took)).and_then(|()| world.stdout.flush())
            }
            None => Ok(()),
        });
        let ending = printed.map_or_else(|error| Ending::unprinted(&error), |()| Ending::done());
        self.end(ReasonCode::NORMAL_DISCONNECTION, ending);
    }

    fn end(&mut self, reason_code: ReasonCode, ending: Ending) {
        self.ending.get_or_insert(ending);
        let place = PropertyPlace::Packet(PacketType::Disconnect);
        // Without a connection there is nothing to end.
        let _ = self.connection.disconnect(reason_code, self.settings.properties.checked(place));
    }
}

/// A time in the unit that suits it.
fn duration(time: Duration) -> String {
    let nanoseconds = time.subsec_nanos();
    match (time.as_secs(), nanoseconds) {
        (0, 0..1_000) => format!("{nanoseconds}ns"),
        (0, 1_000..1_000_000) => format!("{:.6}µs", f64::from(nanoseconds) / 1e3),
        (0, _) => format!("{:.6}ms", f64::from(nanoseconds) / 1e6),
        (seconds, _) => format!("{seconds}.{nanoseconds:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_units() {
        let cases = [
            (999, "999ns"),
            (1_500, "1.500000µs"),
            (2_250_000, "2.250000ms"),
            (3_000_000_001, "3.000000001"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
