//! `noctule tls init`: an authority of one's own, and the certificate of a server that it signs.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use thiserror::Error;
use time::{Date, Duration, OffsetDateTime};

use super::files::{NewFile, write_all};
use super::names::is_host_name;

/// What is to be made.
pub(super) struct Request {
    pub(super) dir: PathBuf,
    /// The hosts that the server's certificate is for.
    pub(super) names: Vec<String>,
    /// For how long.
    pub(super) days: u32,
    /// Whether files that are there are replaced.
    pub(super) is_forced: bool,
}

/// What has been made.
pub(super) struct Made {
    dir: PathBuf,
    names: Vec<String>,
    until: Date,
}

/// Why nothing was made.
#[derive(Debug, Error)]
pub(crate) enum InitError {
    /// A name that is neither a host's nor an address.
    #[error("--name {name}: it is neither a host name nor an address")]
    Name {
        /// The name.
        name: String,
    },
    /// A certificate has to hold for a day at least, and clocks end somewhere.
    #[error("--days {days}: it is a number from 1 to {DAYS_MAX}")]
    Days {
        /// The number.
        days: u32,
    },
    /// Something is there that would be lost.
    #[error("{} is there already; choose another folder with --dir, or replace it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The library refuses.
    #[error("the certificate cannot be made: {0}")]
    Refused(#[from] rcgen::Error),
}

impl Request {
    /// Makes keys and certificates, and writes them.
    pub(super) fn carry_out(self) -> Result<Made, InitError> {
        let Self { dir, names, days, is_forced } = self;
        let is_good = |name: &&String| is_host_name(name) || name.parse::<IpAddr>().is_ok();
        if let Some(name) = names.iter().find(|name| !is_good(name)) {
            return Err(InitError::Name { name: name.clone() });
        }
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(InitError::Days { days });
        }
        let now = OffsetDateTime::now_utc();
        let until = now + Duration::days(days.into());
        write_all(&dir, &certify(&names, now, until)?, is_forced)?;
        Ok(Made { dir, names, until: until.date() })
    }
}

/// The four files.
fn certify(names: &[String], now: OffsetDateTime, until: OffsetDateTime) -> Result<[NewFile; 4], InitError> {
    let (ca_key, server_key) = (KeyPair::generate()?, KeyPair::generate()?);
    let ca = authority(names, now, until)?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let ca_key_pem = ca_key.serialize_pem();
    let server = server(names, now, until)?.signed_by(&server_key, &Issuer::new(ca, ca_key))?;
    let file = |name, text, is_secret| NewFile { name, text, is_secret };
    Ok([
        file(CA, ca_pem, false),
        file(CA_KEY, ca_key_pem, true),
        file(SERVER, server.pem(), false),
        file(SERVER_KEY, server_key.serialize_pem(), true),
    ])
}

/// An authority that holds as long as the server's certificate, and for some years.
fn authority(
    names: &[String],
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<CertificateParams, InitError> {
    let mut params = CertificateParams::new(Vec::new())?;
    let host = names.first().map_or("noctule", String::as_str);
    params.distinguished_name.push(DnType::CommonName, format!("noctule CA of {host}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - CLOCK_DIFFERENCE;
    params.not_after = until.max(now + CA_LIFETIME);
    Ok(params)
}

fn server(
    names: &[String],
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<CertificateParams, InitError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let host = names.first().map_or("noctule", String::as_str);
    params.distinguished_name.push(DnType::CommonName, host);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - CLOCK_DIFFERENCE;
    params.not_after = until;
    Ok(params)
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |name| self.dir.join(name).display().to_string();
        let (ca, server, server_key) = (path(CA), path(SERVER), path(SERVER_KEY));
        let host = self.names.first().map_or("localhost", String::as_str);
        writeln!(f, "{server} is for {} and holds until {}.", self.names.join(", "), self.until)?;
        writeln!(f, "{} can sign more certificates: keep it as secret as {server_key}.\n", path(CA_KEY))?;
        writeln!(f, "For the broker, in noctule.toml:\n")?;
        writeln!(f, "    [[listener]]")?;
        writeln!(f, "    url = \"tls://0.0.0.0:8883\"")?;
        writeln!(f, "    certificate = [{server:?}]")?;
        writeln!(f, "    key = [{server_key:?}]\n")?;
        writeln!(f, "For a client, which needs {ca} and nothing else:\n")?;
        write!(f, "    mosquitto_sub --cafile {ca} -h {host} -p 8883 -t test")
    }
}

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server.key";
/// How long the server's certificate holds if nothing else is said.
pub(super) const DAYS: u32 = 730;
/// The longest that can be asked for: a hundred years.
const DAYS_MAX: u32 = 36_500;
/// How long the authority holds at least.
const CA_LIFETIME: Duration = Duration::days(3650);
/// A client's clock may be this much behind ours.
const CLOCK_DIFFERENCE: Duration = Duration::days(1);
