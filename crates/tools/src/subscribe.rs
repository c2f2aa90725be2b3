//! `sub`: prints what comes.

use crate::connect::{connect, turned_away};
use crate::ending::{Ending, NEVER_CONNECTED};
use crate::interrupts::Interrupts;
use crate::print::Printer;
use crate::program::Tool;
use crate::publish::reopen;
use crate::settings::Settings;
use crate::world::World;
use noctule_client::Connection;
use noctule_client::machine::{Delivery, DisconnectCause, Event, Message, RequestError, Token};
use noctule_codec::{
    PacketType, PropertyPlace, ProtocolVersion, QoS, ReasonCode, SubscribeFilters, SubscriptionOptions,
    UnsubscribeFilters,
};
use noctule_topic::matches;
use std::io::{self, Write as _};
use std::time::Duration;
use tokio::time::{Instant, Interval, interval_at, sleep_until};

/// Runs the tool.
pub(crate) async fn run(settings: Settings, world: &mut World) -> Ending {
    let printer = Printer::new(&settings);
    if let Err(error) = printer.begin(settings.host.as_deref().unwrap_or("localhost"), world) {
        return Ending::unprinted(&error);
    }
    let connection = match connect(&settings, world).await {
        Ok(connection) => connection,
        Err(ending) => return ending,
    };
    let interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(ending) => return ending,
    };
    let deadline = settings.timeout.map(|timeout| Instant::now() + timeout);
    let ends = Ends { deadline, interrupts, ticks: ticks(&settings) };
    Subscriber {
        settings,
        connection,
        printer,
        is_connected: false,
        was_connected: false,
        is_over: false,
        shown: 0,
        heard: 0,
        clearing: Vec::new(),
        ending: None,
    }
    .run(ends, world)
    .await
}

/// What happens beside the connection.
struct Ends {
    deadline: Option<Instant>,
    interrupts: Interrupts,
    /// A second is over, where messages are counted by the second.
    ticks: Option<Interval>,
}

enum Happening {
    Event(Option<Event>),
    TimeIsOver,
    Interrupted,
    Tick,
}

struct Subscriber {
    settings: Settings,
    connection: Connection,
    printer: Printer,
    is_connected: bool,
    /// The broker has let it in at least once.
    was_connected: bool,
    /// Nothing is printed any more.
    is_over: bool,
    /// Messages that count for `-C`.
    shown: u32,
    /// Messages since the last tick.
    heard: u64,
    /// Publications that clear retained messages and are not settled.
    clearing: Vec<Token>,
    ending: Option<Ending>,
}

impl Subscriber {
    async fn run(mut self, mut ends: Ends, world: &mut World) -> Ending {
        loop {
            let happening = tokio::select! {
                biased;
                () = at(ends.deadline) => Happening::TimeIsOver,
                () = ends.interrupts.next() => Happening::Interrupted,
                () = tick(&mut ends.ticks) => Happening::Tick,
                event = self.connection.next() => Happening::Event(event),
            };
            match happening {
                Happening::Event(Some(event)) => self.handle(event, world),
                Happening::Event(None) => match self.come_back(&mut ends).await {
                    Some(ending) => return ending,
                    None => continue,
                },
                Happening::TimeIsOver => {
                    ends.deadline = None;
                    if let Some(ending) = self.interrupt(Ending::timed_out()) {
                        return ending;
                    }
                }
                Happening::Interrupted => {
                    if let Some(ending) = self.interrupt(Ending::done()) {
                        return ending;
                    }
                }
                Happening::Tick => self.tell_rate(world),
            }
        }
    }

    /// Connects again, unless it has ended or is ended meanwhile.
    async fn come_back(&mut self, ends: &mut Ends) -> Option<Ending> {
        if let Some(ending) = self.ending.take() {
            return Some(ending);
        }
        tokio::select! {
            () = reopen(&mut self.connection) => None,
            () = at(ends.deadline) => Some(match self.was_connected {
                true => Ending::timed_out(),
                false => Ending::quietly(NEVER_CONNECTED),
            }),
            () = ends.interrupts.next() => Some(Ending::quietly(NEVER_CONNECTED)),
        }
    }

    fn handle(&mut self, event: Event, world: &mut World) {
        if let Some(ending) = turned_away(&event, &self.settings, &mut self.connection) {
            self.ending = Some(ending);
            return;
        }
        match event {
            Event::Connected { .. } => self.ask(),
            Event::Subscribed { reason_codes, .. } => self.subscribed(&reason_codes),
            Event::Unsubscribed { .. } if self.settings.filters.is_empty() => self.end_if_all_is_asked(),
            Event::Message(message) => self.receive(&message, world),
            Event::Published { token, .. } => self.cleared(token),
            Event::Disconnected { cause } => self.disconnected(&cause),
            _ => {}
        }
    }

    /// Asks for everything at once, then takes back what is to be taken back.
    fn ask(&mut self) {
        (self.is_connected, self.was_connected) = (true, true);
        let options = subscription_options(&self.settings);
        let filters: SubscribeFilters<'_> =
            self.settings.filters.iter().map(|filter| (filter.as_str(), options)).collect();
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        if !filters.is_empty() {
            let asked = self.connection.subscribe(filters, self.settings.properties.checked(place));
            self.check(asked);
        }
        let place = PropertyPlace::Packet(PacketType::Unsubscribe);
        for filter in self.settings.filters_left.clone() {
            let mut filters = UnsubscribeFilters::default();
            filters.push(&filter);
            let asked = self.connection.unsubscribe(filters, self.settings.properties.checked(place));
            self.check(asked);
        }
    }

    /// What cannot even be asked of this server ends it.
    fn check(&mut self, asked: Result<Token, RequestError>) {
        if let Err(error) = asked {
            self.ending.get_or_insert(Ending::failed(&error.to_string()));
            self.disconnect(ReasonCode::NORMAL_DISCONNECTION);
        }
    }

    fn subscribed(&mut self, reason_codes: &[ReasonCode]) {
        let denied = reason_codes.iter().find(|code| code.is_error());
        if let Some(denied) = denied
            && reason_codes.iter().all(|code| code.is_error())
        {
            self.ending.get_or_insert(Ending::denied(Tool::Sub, *denied));
            return self.finish();
        }
        self.end_if_all_is_asked();
    }

    fn end_if_all_is_asked(&mut self) {
        if self.settings.exit_after_subscribing {
            self.finish();
        }
    }

    /// What comes after the last message wanted is not acknowledged, and is there for a later run.
    fn receive(&mut self, message: &Delivery, world: &mut World) {
        self.heard += 1;
        if self.is_over {
            return;
        }
        if self.settings.retained_only && !message.retain {
            return self.finish();
        }
        let shown = if self.is_wanted(message) { self.show(message, world) } else { Ok(()) };
        if let Err(error) = shown {
            self.ending.get_or_insert(Ending::unprinted(&error));
            return self.finish();
        }
        // It has been printed; behind DISCONNECT it could not be said any more.
        if let Some(receipt) = message.receipt {
            self.connection.acknowledge(receipt);
        }
        if self.settings.count == Some(self.shown) {
            self.finish();
        }
    }

    fn is_wanted(&self, message: &Delivery) -> bool {
        let is_left_out = |filter: &String| matches(filter, &message.topic);
        let is_stale = message.retain && self.settings.no_retained;
        if is_stale && !self.settings.remove_retained {
            return false;
        }
        !self.settings.filters_out.iter().any(is_left_out)
    }

    /// Prints a message.
    fn show(&mut self, message: &Delivery, world: &mut World) -> io::Result<()> {
        if self.settings.remove_retained && message.retain {
            self.clear(&message.topic);
        }
        if message.retain && self.settings.no_retained {
            return Ok(());
        }
        if !self.settings.message_rate {
            self.printer.print(message, world)?;
        }
        self.shown += 1;
        Ok(())
    }

    fn clear(&mut self, topic: &str) {
        let message =
            Message { topic, payload: &[], qos: QoS::AtLeastOnce, retain: true, ..Message::default() };
        match self.connection.publish(&message) {
            Ok(token) => self.clearing.push(token),
            Err(error) => {
                self.ending.get_or_insert(Ending::unpublishable(error));
            }
        }
    }

    fn cleared(&mut self, token: Token) {
        self.clearing.retain(|other| *other != token);
        if self.is_over && self.clearing.is_empty() {
            self.disconnect(ReasonCode::NORMAL_DISCONNECTION);
        }
    }

    /// Nothing more is printed; what is to be cleared still is.
    fn finish(&mut self) {
        self.is_over = true;
        if self.clearing.is_empty() {
            self.disconnect(ReasonCode::NORMAL_DISCONNECTION);
        }
    }

    /// Ends from outside. Before the broker has answered CONNECT there is nothing to end.
    fn interrupt(&mut self, ending: Ending) -> Option<Ending> {
        if !self.is_connected {
            return Some(Ending::quietly(NEVER_CONNECTED));
        }
        self.is_over = true;
        self.ending.get_or_insert(ending);
        self.disconnect(interruption(self.settings.version));
        None
    }

    fn disconnect(&mut self, reason_code: ReasonCode) {
        let place = PropertyPlace::Packet(PacketType::Disconnect);
        // Without a connection there is nothing to end.
        let _ = self.connection.disconnect(reason_code, self.settings.properties.checked(place));
    }

    fn disconnected(&mut self, cause: &DisconnectCause) {
        if Ending::is_for_good(cause) {
            self.ending.get_or_insert(Ending::disconnected(cause));
        } else {
            self.is_connected = false;
        }
    }

    fn tell_rate(&mut self, world: &mut World) {
        let told = writeln!(world.stdout, "{}", self.heard).and_then(|()| world.stdout.flush());
        self.heard = 0;
        if let Err(error) = told {
            self.ending.get_or_insert(Ending::unprinted(&error));
            self.finish();
        }
    }
}

/// The options of the subscriptions. Before MQTT 5 there is only the QoS.
pub(crate) fn subscription_options(settings: &Settings) -> SubscriptionOptions {
    let qos = settings.qos;
    if settings.version != ProtocolVersion::V5 {
        return SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    }
    SubscriptionOptions {
        qos,
        no_local: false,
        retain_as_published: settings.retain_as_published,
        retain_handling: settings.retain_handling,
    }
}

/// How an end from outside is told. MQTT 5 has a code that lets the will be published; before it, every DISCONNECT
/// keeps it back, and mosquitto's tools say one.
pub(crate) fn interruption(version: ProtocolVersion) -> ReasonCode {
    match version {
        ProtocolVersion::V5 => ReasonCode::DisconnectWithWill,
        _ => ReasonCode::NORMAL_DISCONNECTION,
    }
}

pub(crate) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn ticks(settings: &Settings) -> Option<Interval> {
    settings.message_rate.then(|| interval_at(Instant::now() + SECOND, SECOND))
}

/// The next tick, where there are any.
pub(crate) async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

const SECOND: Duration = Duration::from_secs(1);
