//! How a run ends: the exit code, and what is said on standard error.
//!
//! The codes are those of mosquitto's tools: the code of a CONNACK that refuses, else the number of libmosquitto's
//! error, or 1.

use crate::preview::line;
use crate::program::{Program, Tool};
use crate::world::World;
use noctule_client::machine::{DisconnectCause, PublishError};
use noctule_client::{BuildError, ConnectError, ConnectionError, DialStep, TlsError};
use noctule_codec::{ProtocolVersion, ReasonCode};
use std::io;
use std::path::Path;

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    code: u8,
    lines: Vec<String>,
    /// What the user could do about it. mosquitto's tools do not say, so under their names it stays unsaid.
    advice: Option<String>,
}

impl Ending {
    /// All went well.
    pub(crate) fn done() -> Self {
        Self::quietly(0)
    }

    /// A code without a word.
    pub(crate) fn quietly(code: u8) -> Self {
        Self { code, lines: Vec::new(), advice: None }
    }

    /// Something failed.
    pub(crate) fn failed(text: &str) -> Self {
        Self::with(1, &format!("Error: {text}"))
    }

    /// What was to be written somewhere could not be. Who no longer reads standard output has had enough.
    pub(crate) fn unwritten(place: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::done(),
            _ => Self::failed(&format!("{place} cannot be written: {error}")),
        }
    }

    /// The same of standard output.
    pub(crate) fn unprinted(error: &io::Error) -> Self {
        Self::unwritten("standard output", error)
    }

    fn with(code: u8, line: &str) -> Self {
        Self { code, lines: vec![line.to_owned()], advice: None }
    }

    /// The time of `-W` is over.
    pub(crate) fn timed_out() -> Self {
        Self::with(TIMEOUT, "Timed out")
    }

    /// The stream of the connection has ended.
    pub(crate) fn lost() -> Self {
        Self::with(CONNECTION_LOST, "Error: The connection was lost.")
    }

    /// The server does not let this client in.
    pub(crate) fn refused(tool: Tool, version: ProtocolVersion, reason_code: ReasonCode) -> Self {
        let code = connack_code(version, reason_code);
        let why = match (tool, version) {
            (Tool::Request, ProtocolVersion::V5) => reason_code.name(),
            (Tool::Request, _) => "Unknown reason",
            (_, ProtocolVersion::V5) => reason_code.name(),
            _ => return_code_name(code),
        };
        let more = match (version, reason_code, tool) {
            (ProtocolVersion::V5, ReasonCode::UnsupportedProtocolVersion, Tool::Request) => {
                ". mosquitto_rr only supports connecting to an MQTT v5 broker"
            }
            (ProtocolVersion::V5, ReasonCode::UnsupportedProtocolVersion, _) => {
                ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."
            }
            _ => "",
        };
        let mut ending = Self::with(code, &format!("Connection error: {why}{more}"));
        if matches!(reason_code, ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword) {
            ending = ending
                .advising("Say who you are with -u, and prove it with -P, --pw-file or --cert and --key.");
        }
        if tool == Tool::Pub { ending.and("Error: The connection was refused.") } else { ending }
    }

    /// The server wants a step of a method of authentication, and this client has none to answer with.
    pub(crate) fn asked_to_authenticate(method: Option<&str>) -> Self {
        Self::with(
            AUTHENTICATION,
            &format!(
                "Error: The broker asks for the next step of authentication by {}, which this tool does not know.",
                method.unwrap_or("a method")
            ),
        )
        .advising("Leave out -D connect authentication-method; use -u with a password, or --cert and --key.")
    }

    /// The server grants no subscription. The exit code says why.
    pub(crate) fn denied(tool: Tool, reason_code: ReasonCode) -> Self {
        match tool {
            // mosquitto_rr says why and calls it a success.
            Tool::Request => Self::with(0, reason_code.name()),
            _ => Self::with(reason_code.as_u8(), "All subscription requests were denied."),
        }
    }

    /// A message that cannot be sent to this server.
    pub(crate) fn unpublishable(error: PublishError) -> Self {
        use noctule_client::NotSent;
        Self::failed(&match error {
            PublishError::NotConnected => "Client not connected when trying to publish.".to_owned(),
            PublishError::Topic(_) => "Invalid input. Does your topic contain '+' or '#'?".to_owned(),
            PublishError::NotAccepted(NotSent::PacketTooLarge) => "Message payload is too large.".to_owned(),
            PublishError::NotAccepted(NotSent::QoSNotSupported) => {
                "Message QoS not supported on broker, try a lower QoS.".to_owned()
            }
            other => other.to_string(),
        })
    }

    /// Whether a tool that otherwise comes back does not: the server breaks the rules, or the client with the same
    /// identifier that has taken its place would be thrown out in its turn.
    pub(crate) fn is_for_good(cause: &DisconnectCause) -> bool {
        match cause {
            DisconnectCause::Requested | DisconnectCause::Violation(_) => true,
            DisconnectCause::Server { reason_code, .. } => *reason_code == ReasonCode::SessionTakenOver,
            _ => false,
        }
    }

    /// There is no connection, or it has ended without being asked to.
    pub(crate) fn disconnected(cause: &DisconnectCause) -> Self {
        match cause {
            DisconnectCause::Requested => Self::done(),
            DisconnectCause::Violation(violation) => {
                Self::with(PROTOCOL, &format!("Error: {PROTOCOL_TEXT}")).because(violation)
            }
            DisconnectCause::Server { reason_code, properties } => {
                let why = properties.reason_string().map_or(String::new(), |why| format!(": {}", line(why)));
                Self::lost().and(&format!("The broker ended it: {reason_code}{why}"))
            }
            _ => Self::lost(),
        }
    }

    /// The one place where what keeps a connection from being made becomes a text and a code.
    pub(crate) fn unconnected(error: &ConnectError, ca_folder: Option<&Path>) -> Self {
        match error {
            ConnectError::Build(error) => Self::unbuilt(error, ca_folder),
            ConnectError::Connection(ConnectionError::Dial { step, source, place }) => match step {
                DialStep::Lookup => Self::with(1, "Unable to connect (Lookup error.).").advising(&format!(
                    "No machine is known by a name of {place}; check -h, -A and --proxy."
                )),
                DialStep::Tls => Self::with(TLS, "Error: A TLS error occurred.").because(source),
                DialStep::Proxy => Self::with(PROXY, "Error: Proxy error.").because(source),
                DialStep::WebSocket => Self::failed(&system_text(source))
                    .advising("Is this the port of a listener for WebSocket?"),
                _ => Self::failed(&system_text(source)).advising(&format!(
                    "Nothing answers at {place}; start a broker there, or name another place with -h and -p."
                )),
            },
            ConnectError::Connection(ConnectionError::Timeout { .. }) => Self::failed("Connection timed out"),
            other => Self::failed(&other.to_string()),
        }
    }

    fn unbuilt(error: &BuildError, ca_folder: Option<&Path>) -> Self {
        match error {
            // A folder that is not there is found like one that holds nothing.
            BuildError::Tls(TlsError::File { path, .. }) if !path.exists() && ca_folder != Some(path) => {
                Self::failed("Problem setting TLS options: File not found.").because(error)
            }
            BuildError::Tls(_) => Self::with(1, "Unable to connect (A TLS error occurred.).").because(error),
            BuildError::Address(_) => Self::with(1, "Unable to connect (Lookup error.)."),
            BuildError::Proxy(_) => Self::failed("Invalid proxy.").because(error),
            other => Self::failed(&other.to_string()),
        }
    }

    /// Adds what a library says about it, which names the file or the rule.
    pub(crate) fn because(self, why: &impl ToString) -> Self {
        self.and(&why.to_string())
    }

    /// Adds what the user could do.
    fn advising(self, advice: &str) -> Self {
        Self { advice: Some(advice.to_owned()), ..self }
    }

    /// Adds a line.
    pub(crate) fn and(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Tells the user, unless told not to; gives the exit code.
    pub(crate) fn report(self, is_quiet: bool, program: Program, world: &mut World) -> u8 {
        if !is_quiet {
            let advice = self.advice.filter(|_| !program.is_linked);
            self.lines.iter().chain(&advice).for_each(|line| world.complain(line));
        }
        self.code
    }
}

/// The code in CONNACK: 3.x has five of its own.
pub(crate) fn connack_code(version: ProtocolVersion, reason_code: ReasonCode) -> u8 {
    match (version, reason_code) {
        (ProtocolVersion::V5, reason_code) => reason_code.as_u8(),
        (_, ReasonCode::UnsupportedProtocolVersion) => 1,
        (_, ReasonCode::ClientIdentifierNotValid) => 2,
        (_, ReasonCode::ServerUnavailable) => 3,
        (_, ReasonCode::BadUserNameOrPassword) => 4,
        (_, ReasonCode::NotAuthorized) => 5,
        (_, reason_code) => reason_code.as_u8(),
    }
}

fn return_code_name(code: u8) -> &'static str {
    match code {
        1 => "Connection Refused: unacceptable protocol version.",
        2 => "Connection Refused: identifier rejected.",
        3 => "Connection Refused: broker unavailable.",
        4 => "Connection Refused: bad user name or password.",
        5 => "Connection Refused: not authorised.",
        _ => "Connection Refused: unknown reason.",
    }
}

/// What the operating system says, without its number.
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

const PROTOCOL_TEXT: &str = "A network protocol error occurred when communicating with the broker.";
/// A rule of MQTT was broken.
const PROTOCOL: u8 = 2;
/// The connection was lost.
const CONNECTION_LOST: u8 = 7;
/// TLS was not agreed on.
const TLS: u8 = 8;
/// The method of authentication is not known: libmosquitto's number for it.
const AUTHENTICATION: u8 = 11;
/// The proxy did not give a way.
const PROXY: u8 = 16;
/// The time is over.
const TIMEOUT: u8 = 27;
/// Ended by a signal or by time before the server had answered CONNECT.
pub(crate) const NEVER_CONNECTED: u8 = 255;
