//! Authentication in steps: what the application's method says and hears, on the way in and again later.
//!
//! Invariant: a server that has not satisfied the method is never announced as connected, hears nothing more, and
//! brings no messages.

use super::Core;
use crate::authentication::{Begun, Exchange, Method, ReauthenticateError};
use crate::error::ConnectionError;
use noctule_codec::{Properties, ProtocolVersion, ReasonCode};
use noctule_session::client::Violation;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The conversation that is under way on the present connection.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    exchange: Option<Exchange>,
    /// Who waits for its end, if the application has begun it.
    asked_for: Option<oneshot::Sender<()>>,
}

impl Core {
    /// Adds to the properties of CONNECT what the method says first.
    pub(super) fn begin_authentication(
        &mut self,
        connect: Properties<'static>,
    ) -> Result<Properties<'static>, ConnectionError> {
        self.authentication = Authentication::default();
        let Some(method) = self.method() else { return Ok(connect) };
        let Begun { exchange, properties } = method.begin(connect)?;
        self.authentication.exchange = Some(exchange);
        Ok(properties)
    }

    /// Begins to authenticate again. The receiver is told when the server is content, and dropped with the connection.
    pub(crate) fn reauthenticate(&mut self) -> Result<oneshot::Receiver<()>, ReauthenticateError> {
        if !self.machine.is_connected() {
            return Err(ReauthenticateError::NotConnected);
        }
        let method = self.method().ok_or(ReauthenticateError::NoMethod)?;
        if self.authentication.exchange.is_some() {
            return Err(ReauthenticateError::UnderWay);
        }
        let begun = method.begin(Properties::EMPTY);
        let Begun { exchange, properties } =
            begun.map_err(|error| ReauthenticateError::NotBegun(Arc::new(error)))?;
        let asked = self.machine.auth(ReasonCode::ReAuthenticate, properties);
        asked.map_err(|error| ReauthenticateError::NotBegun(Arc::new(error)))?;
        self.authentication.exchange = Some(exchange);
        let (sender, receiver) = oneshot::channel();
        self.authentication.asked_for = Some(sender);
        Ok(receiver)
    }

    /// A step of the server's: it wants to know more, or is content.
    pub(super) fn authenticate(&mut self, reason_code: ReasonCode, properties: &Properties<'_>) {
        let data = properties.authentication_data();
        if reason_code != ReasonCode::ContinueAuthentication {
            if self.finish_authentication(data)
                && let Some(asked) = self.authentication.asked_for.take()
            {
                // Who asked may not be there any more.
                let _ = asked.send(());
            }
            return;
        }
        if let Err(error) = self.answer_authentication(data) {
            self.give_up(error);
        }
    }

    fn answer_authentication(&mut self, data: Option<&[u8]>) -> Result<(), ConnectionError> {
        let (Some(exchange), Some(method)) = (&mut self.authentication.exchange, &self.options.authenticator)
        else {
            return Err(ConnectionError::Violation(Violation::UnexpectedAuth));
        };
        let answer = exchange.next(data)?;
        let properties = method.properties(answer.as_deref())?;
        // The method is that of CONNECT and there is a connection, or this event would not have come.
        let _ = self.machine.auth(ReasonCode::ContinueAuthentication, properties);
        Ok(())
    }

    /// Lets the exchange see what the server says last. Returns whether it is content too.
    pub(super) fn finish_authentication(&mut self, data: Option<&[u8]>) -> bool {
        let Some(mut exchange) = self.authentication.exchange.take() else { return true };
        match exchange.finish(data) {
            Ok(()) => true,
            Err(error) => {
                self.give_up(error);
                false
            }
        }
    }

    /// The present connection ends without another word.
    fn give_up(&mut self, error: ConnectionError) {
        self.cause = Some(error);
        self.is_given_up = true;
    }

    /// The method of authentication, where the server is told one.
    fn method(&self) -> Option<Method> {
        let is_told = self.version == ProtocolVersion::V5 && self.whereabouts.says_credentials();
        self.options.authenticator.clone().filter(|_| is_told)
    }
}
