//! Why a TLS connection ends: what happened, and what to do about it.

use std::fmt;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// A TLS connection that cannot go on.
#[derive(Clone, Debug)]
pub struct TlsError {
    role: TlsRole,
    cause: rustls::Error,
    /// What it began with, if it failed before anything was agreed on.
    first_byte: Option<u8>,
}

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRole {
    /// We accepted it.
    Server,
    /// We dialled.
    Client,
}

impl TlsError {
    pub(crate) fn new(role: TlsRole, cause: rustls::Error, first_byte: Option<u8>) -> Self {
        Self { role, cause, first_byte }
    }

    pub(crate) fn server(cause: rustls::Error) -> Self {
        Self::new(TlsRole::Server, cause, None)
    }

    pub(crate) fn client(cause: rustls::Error) -> Self {
        Self::new(TlsRole::Client, cause, None)
    }

    fn peer(&self) -> &'static str {
        match self.role {
            TlsRole::Server => "client",
            TlsRole::Client => "server",
        }
    }
}

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rustls::Error as E;
        let peer = self.peer();
        match &self.cause {
            E::InvalidMessage(InvalidMessage::InvalidContentType) if self.first_byte.is_some() => {
                let spoken = match self.first_byte {
                    Some(0x10) => "MQTT without TLS",
                    Some(b'A'..=b'Z') => "HTTP without TLS",
                    _ => "something else",
                };
                write!(f, "TLS: the {peer} speaks {spoken}; it needs TLS to connect here")
            }
            E::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => write!(f, "TLS: the {peer} has no version above TLS 1.1; it needs TLS 1.2 or 1.3"),
            E::NoApplicationProtocol => {
                write!(f, "TLS: the {peer} asks for an application protocol (ALPN) that is not spoken here")
            }
            E::NoCertificatesPresented => {
                write!(f, "TLS: the {peer} presents no certificate, which is required here")
            }
            E::InvalidCertificate(reason) => {
                write!(f, "TLS: the certificate of the {peer} {}", told(reason))
            }
            E::AlertReceived(alert) => write!(f, "TLS: {}", told_alert(peer, *alert)),
            cause => write!(f, "TLS: {cause}"),
        }
    }
}

fn told(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; are the clocks right?".into()
        }
        CertificateError::UnknownIssuer => "is not signed by an authority that is trusted here".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("is for another host: {reason}")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not made for this purpose".into()
        }
        CertificateError::Revoked => "has been revoked".into(),
        CertificateError::Other(other) if other.to_string() == AUTHORITY_AS_PEER => {
            "is that of an authority or self-signed; one that an authority has signed is needed".into()
        }
        other => format!("is refused: {other}"),
    }
}

fn told_alert(peer: &str, alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown => {
            format!(
                "the {peer} does not trust our certificate; does it know the authority that signed it? ({alert:?})"
            )
        }
        AlertDescription::CertificateExpired => format!("the {peer} says that our certificate has expired"),
        AlertDescription::CertificateRequired => format!("the {peer} requires a certificate from us"),
        other => format!("the {peer} gave up: {other:?}"),
    }
}

/// The word of the verifier for an authority's certificate where one of a client or server is due. What `openssl req
/// -x509` makes by itself is one.
const AUTHORITY_AS_PEER: &str = "CaUsedAsEndEntity";
