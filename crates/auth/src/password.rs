//! Passwords, as files keep them: hashed, with a salt.
//!
//! | Text | What it is |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH` | Argon2id: ours, and mosquitto's since 2.1 |
//! | `$7$ITERATIONS$SALT$HASH` | PBKDF2-HMAC-SHA512: mosquitto's since 1.6 |
//! | `$6$SALT$HASH` | SHA-512 over password and salt: mosquitto's before |
//!
//! Whoever can write a file of hashes also says what checking them costs, so costs are bounded before anything is
//! computed. Checking a password takes up to a second and [`ARGON2_MEMORY_KIB_MAX`]: it is work for a pool, never for
//! a shard.

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64, Base64Unpadded, Encoding};
use ctutils::CtEq;
use sha2::{Digest, Sha512};
use std::fmt;
use thiserror::Error;

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    scheme: Scheme,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// mosquitto's `$6$`.
    Sha512,
    /// mosquitto's `$7$`.
    Pbkdf2Sha512 {
        /// 1 to [`PBKDF2_ITERATIONS_MAX`].
        iterations: u32,
    },
    /// Argon2id by RFC 9106.
    Argon2id {
        /// 19, or 16 for hashes of old.
        version: u32,
        /// Memory in KiB, 8 per lane to [`ARGON2_MEMORY_KIB_MAX`].
        memory_kib: u32,
        /// Passes over the memory, 1 to [`ARGON2_PASSES_MAX`].
        passes: u32,
        /// Lanes, 1 to [`ARGON2_LANES_MAX`].
        lanes: u32,
    },
}

/// Why a text is no hashed password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    /// It begins like none we know.
    #[error("a hashed password begins with $argon2id$, $7$ or $6$; hash a plain one with `noctule passwd`")]
    UnknownScheme,
    /// Fields are missing, or there are too many.
    #[error("the hashed password does not have the fields of its kind")]
    Fields,
    /// A number is none, or outside its bounds.
    #[error("{name} in the hashed password is not a number from {min} to {max}")]
    Number {
        /// Which one.
        name: &'static str,
        /// The smallest allowed.
        min: u32,
        /// The largest allowed.
        max: u32,
    },
    /// Argon2 in another version.
    #[error("the version of Argon2 is not 19 or 16")]
    Version,
    /// Memory and passes are each within their bounds, but not together.
    #[error("Argon2 would go through more than {ARGON2_WORK_KIB_MAX} KiB (memory times passes)")]
    Work,
    /// The salt is no base64, or has the wrong length.
    #[error("the salt of the hashed password is not {SALT_BYTES_MIN} to {SALT_BYTES_MAX} bytes in base64")]
    Salt,
    /// The hash is no base64, or has the wrong length.
    #[error("the hash of the hashed password is not base64 of the length of its kind")]
    Hash,
}

/// The most memory a hash in a file may ask for, in KiB: 1 GiB.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 1 << 20;
/// The most passes over the memory.
pub const ARGON2_PASSES_MAX: u32 = 256;
/// The most lanes.
pub const ARGON2_LANES_MAX: u32 = 64;
/// The most memory times passes, in KiB: some seconds.
pub const ARGON2_WORK_KIB_MAX: u32 = 4 << 20;
/// The most iterations of PBKDF2: some seconds.
pub const PBKDF2_ITERATIONS_MAX: u32 = 4_000_000;
/// The length of a new salt in bytes.
pub const SALT_BYTES: usize = 16;
/// The shortest salt that is read, in bytes.
pub const SALT_BYTES_MIN: usize = 8;
/// The longest salt that is read, in bytes.
pub const SALT_BYTES_MAX: usize = 64;

impl Scheme {
    /// What new passwords are hashed with: Argon2id with 19 MiB and two passes, the least that OWASP recommends. Each
    /// worker that checks passwords needs that much memory.
    pub const OURS: Self = Self::Argon2id { version: 19, memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// An estimate of the time it takes to check a password, for comparison only.
    fn cost(self) -> u64 {
        match self {
            Self::Sha512 => 1,
            // About a microsecond for an iteration, as for a KiB of Argon2.
            Self::Pbkdf2Sha512 { iterations } => u64::from(iterations),
            Self::Argon2id { memory_kib, passes, .. } => u64::from(memory_kib) * u64::from(passes),
        }
    }

    /// Whether it is within the bounds.
    fn check(self) -> Result<(), HashError> {
        let between = |name, number, min, max| match number {
            number if (min..=max).contains(&number) => Ok(()),
            _ => Err(HashError::Number { name, min, max }),
        };
        match self {
            Self::Sha512 => Ok(()),
            Self::Pbkdf2Sha512 { iterations } => between("iterations", iterations, 1, PBKDF2_ITERATIONS_MAX),
            Self::Argon2id { version, memory_kib, passes, lanes } => {
                between("m (memory in KiB)", memory_kib, 8, ARGON2_MEMORY_KIB_MAX)?;
                between("t (passes)", passes, 1, ARGON2_PASSES_MAX)?;
                between("p (lanes)", lanes, 1, ARGON2_LANES_MAX.min(memory_kib / 8))?;
                match u64::from(memory_kib) * u64::from(passes) {
                    work if work > u64::from(ARGON2_WORK_KIB_MAX) => Err(HashError::Work),
                    _ if ![16, 19].contains(&version) => Err(HashError::Version),
                    _ => Ok(()),
                }
            }
        }
    }

    fn hash_bytes(self) -> usize {
        match self {
            Self::Sha512 | Self::Pbkdf2Sha512 { .. } => 64,
            Self::Argon2id { .. } => 32,
        }
    }
}

impl PasswordHash {
    /// Hashes a password with [`Scheme::OURS`]. The salt has to be random; nobody else may have had it.
    pub fn new(password: &[u8], salt: [u8; SALT_BYTES]) -> Self {
        Self::with_scheme(Scheme::OURS, password, &salt).expect("our own scheme is within the bounds")
    }

    /// Hashes a password in another way; mosquitto reads its own only with salts of 12 bytes.
    ///
    /// # Errors
    /// The scheme or the salt is outside its bounds.
    pub fn with_scheme(scheme: Scheme, password: &[u8], salt: &[u8]) -> Result<Self, HashError> {
        scheme.check()?;
        check_salt(salt)?;
        let mut hash = vec![0; scheme.hash_bytes()];
        digest(scheme, password, salt, &mut hash);
        Ok(Self { scheme, salt: salt.into(), hash: hash.into() })
    }

    /// Reads one of the texts of the table above.
    ///
    /// # Errors
    /// It is none of them, or would cost more than the bounds allow.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let mut fields = text.strip_prefix('$').ok_or(HashError::UnknownScheme)?.split('$');
        let scheme = match fields.next() {
            Some("6") => Scheme::Sha512,
            Some("7") => Scheme::Pbkdf2Sha512 { iterations: number("iterations", fields.next())? },
            Some("argon2id") => parse_argon2id(&mut fields)?,
            _ => return Err(HashError::UnknownScheme),
        };
        scheme.check()?;
        let salt = decode(scheme, fields.next().ok_or(HashError::Fields)?).ok_or(HashError::Salt)?;
        let hash = decode(scheme, fields.next().ok_or(HashError::Fields)?).ok_or(HashError::Hash)?;
        if fields.next().is_some() {
            return Err(HashError::Fields);
        }
        check_salt(&salt)?;
        let hash_bytes = match scheme {
            Scheme::Argon2id { .. } => 16..=64,
            Scheme::Sha512 | Scheme::Pbkdf2Sha512 { .. } => 64..=64,
        };
        if !hash_bytes.contains(&hash.len()) {
            return Err(HashError::Hash);
        }
        Ok(Self { scheme, salt: salt.into(), hash: hash.into() })
    }

    /// Whether this is the password. Its time does not depend on how much of it is right.
    pub fn verify(&self, password: &[u8]) -> bool {
        let mut hash = vec![0; self.hash.len()];
        digest(self.scheme, password, &self.salt, &mut hash);
        hash.ct_eq(&*self.hash).into()
    }

    /// How it is hashed.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it should be hashed anew when the password is known: it is not Argon2id, or a cheaper one than ours.
    pub fn needs_rehash(&self) -> bool {
        !matches!(self.scheme, Scheme::Argon2id { version: 19, .. }) || self.cost() < Scheme::OURS.cost()
    }

    /// An estimate of the time it takes to check a password, for comparison only.
    pub(crate) fn cost(&self) -> u64 {
        self.scheme.cost()
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, hash) = (encode(self.scheme, &self.salt), encode(self.scheme, &self.hash));
        match self.scheme {
            Scheme::Sha512 => write!(formatter, "$6${salt}${hash}"),
            Scheme::Pbkdf2Sha512 { iterations } => write!(formatter, "$7${iterations}${salt}${hash}"),
            Scheme::Argon2id { version, memory_kib, passes, lanes } => {
                write!(formatter, "$argon2id$v={version}$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
            }
        }
    }
}

/// Says how it is hashed, and nothing that could be attacked.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PasswordHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// `v=19$m=19456,t=2,p=1`; without a version it is 16.
fn parse_argon2id<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Result<Scheme, HashError> {
    let mut field = fields.next().ok_or(HashError::Fields)?;
    let mut version = 16;
    if let Some(text) = field.strip_prefix("v=") {
        version = number("v (version)", Some(text))?;
        field = fields.next().ok_or(HashError::Fields)?;
    }
    let mut parameters = field.split(',');
    let mut parameter =
        |name, letter| number(name, parameters.next().and_then(|text| text.strip_prefix(letter)));
    let memory_kib = parameter("m (memory in KiB)", "m=")?;
    let passes = parameter("t (passes)", "t=")?;
    let lanes = parameter("p (lanes)", "p=")?;
    if parameters.next().is_some() {
        return Err(HashError::Fields);
    }
    Ok(Scheme::Argon2id { version, memory_kib, passes, lanes })
}

fn number(name: &'static str, text: Option<&str>) -> Result<u32, HashError> {
    let text = text.ok_or(HashError::Fields)?;
    // `+5` is a number to Rust.
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wrong = HashError::Number { name, min: 1, max: u32::MAX };
    if is_number { text.parse().map_err(|_| wrong) } else { Err(wrong) }
}

fn check_salt(salt: &[u8]) -> Result<(), HashError> {
    match (SALT_BYTES_MIN..=SALT_BYTES_MAX).contains(&salt.len()) {
        true => Ok(()),
        false => Err(HashError::Salt),
    }
}

fn digest(scheme: Scheme, password: &[u8], salt: &[u8], hash: &mut [u8]) {
    match scheme {
        Scheme::Sha512 => {
            let digest = Sha512::new().chain_update(password).chain_update(salt).finalize();
            hash.copy_from_slice(&digest);
        }
        Scheme::Pbkdf2Sha512 { iterations } => {
            pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, hash);
        }
        Scheme::Argon2id { version, memory_kib, passes, lanes } => {
            let version = if version == 16 { Version::V0x10 } else { Version::V0x13 };
            let params =
                Params::new(memory_kib, passes, lanes, Some(hash.len())).expect("bounds were checked");
            let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
            argon2.hash_password_into(password, salt, hash).expect("lengths were checked");
        }
    }
}

/// mosquitto pads its base64, Argon2's texts do not.
fn encode(scheme: Scheme, bytes: &[u8]) -> String {
    match scheme {
        Scheme::Argon2id { .. } => Base64Unpadded::encode_string(bytes),
        Scheme::Sha512 | Scheme::Pbkdf2Sha512 { .. } => Base64::encode_string(bytes),
    }
}

fn decode(scheme: Scheme, text: &str) -> Option<Vec<u8>> {
    match scheme {
        Scheme::Argon2id { .. } => Base64Unpadded::decode_vec(text).ok(),
        Scheme::Sha512 | Scheme::Pbkdf2Sha512 { .. } => Base64::decode_vec(text).ok(),
    }
}
