//! Enhanced authentication of MQTT 5.0: a conversation of its own, before the server lets a client in and again
//! whenever the client wants [MQTT-4.12.0-3], [MQTT-4.12.1-1].

use crate::error::ConnectionError;
use noctule_codec::{EncodeError, Properties, Property};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why an [`AuthenticationExchange`] does not go on.
pub type AuthenticationError = Box<dyn Error + Send + Sync>;

/// A method of authentication, as the server knows it too: `SCRAM-SHA-256`, or whatever the two have agreed on. Given
/// to [`Builder::authenticator`](crate::Builder::authenticator).
pub trait Authenticator: Send + Sync + 'static {
    /// Its name.
    fn method(&self) -> &str;

    /// Begins a conversation: one for each connection, and one for each re-authentication.
    fn begin(&self) -> Box<dyn AuthenticationExchange>;
}

/// This client's side of one conversation.
///
/// It is called while the client is locked, so it answers at once and calls nothing of the client. What takes time, to
/// fetch a token for example, is done before.
pub trait AuthenticationExchange: Send + 'static {
    /// What this client says first, in CONNECT or with its wish to authenticate again.
    ///
    /// # Errors
    /// Ends the attempt.
    fn first(&mut self) -> Result<Option<Vec<u8>>, AuthenticationError>;

    /// The answer to a step of the server's.
    ///
    /// # Errors
    /// Ends the connection.
    fn next(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, AuthenticationError>;

    /// The server is content. What it says last may prove who it is; an error here means that it has not.
    ///
    /// # Errors
    /// Ends the connection.
    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), AuthenticationError>;
}

/// Why a client has not authenticated again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReauthenticateError {
    /// There is no connection.
    #[error("there is no connection")]
    NotConnected,
    /// The connection has no method of authentication: the builder was given none, the server is one that is told no
    /// credentials, or 3.x is spoken.
    #[error("the connection has no method of authentication")]
    NoMethod,
    /// Another one is under way.
    #[error("an authentication is under way")]
    UnderWay,
    /// It could not be begun.
    #[error("{0}")]
    NotBegun(Arc<dyn Error + Send + Sync>),
    /// The connection has ended before the server was content; [`Client::state`](crate::Client::state) says why.
    #[error("the connection has ended before the server was content")]
    Ended,
}

/// A method that the builder was given.
#[derive(Clone)]
pub(crate) struct Method(pub(crate) Arc<dyn Authenticator>);

/// A conversation that is under way.
pub(crate) struct Exchange(Box<dyn AuthenticationExchange>);

impl Method {
    /// Begins a conversation. What is said first is added to these properties, with the name of the method.
    pub(crate) fn begin(&self, mut properties: Properties<'static>) -> Result<Begun, ConnectionError> {
        let mut exchange = Exchange(self.0.begin());
        let data = exchange.0.first().map_err(refused)?;
        self.say(data.as_deref(), &mut properties).map_err(ConnectionError::Options)?;
        Ok(Begun { exchange, properties })
    }

    /// The properties of AUTH that say this.
    pub(crate) fn properties(&self, data: Option<&[u8]>) -> Result<Properties<'static>, ConnectionError> {
        let mut properties = Properties::EMPTY;
        self.say(data, &mut properties).map_err(ConnectionError::Options)?;
        Ok(properties)
    }

    fn say(&self, data: Option<&[u8]>, properties: &mut Properties<'static>) -> Result<(), EncodeError> {
        properties.try_push(Property::AuthenticationMethod(self.0.method()))?;
        data.map_or(Ok(()), |data| properties.try_push(Property::AuthenticationData(data)))
    }
}

/// A conversation and the properties it begins with.
pub(crate) struct Begun {
    pub(crate) exchange: Exchange,
    pub(crate) properties: Properties<'static>,
}

impl Exchange {
    pub(crate) fn next(&mut self, data: Option<&[u8]>) -> Result<Option<Vec<u8>>, ConnectionError> {
        self.0.next(data.unwrap_or_default()).map_err(refused)
    }

    pub(crate) fn finish(&mut self, data: Option<&[u8]>) -> Result<(), ConnectionError> {
        self.0.finish(data).map_err(refused)
    }
}

fn refused(error: AuthenticationError) -> ConnectionError {
    ConnectionError::Authentication(Arc::from(error))
}

/// Nothing of what is said.
impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Method").field(&self.0.method()).finish()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}
