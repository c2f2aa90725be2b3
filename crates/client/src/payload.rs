//! What can be published.

use bytes::Bytes;
use std::sync::Arc;

/// What went wrong when a payload was made.
pub type PayloadError = Arc<dyn std::error::Error + Send + Sync>;

/// Something that can be the payload of a message.
pub trait IntoPayload {
    /// The bytes of the message.
    ///
    /// # Errors
    /// What cannot be written.
    fn into_payload(self) -> Result<Bytes, PayloadError>;

    /// What the payload is, as a MIME type. Becomes the content type of a message that names none.
    fn content_type(&self) -> Option<&'static str> {
        None
    }
}

macro_rules! bytes_into_payload {
    ($($bytes:ty),*) => {$(
        impl IntoPayload for $bytes {
            fn into_payload(self) -> Result<Bytes, PayloadError> {
                Ok(self.into())
            }
        }
    )*};
}

bytes_into_payload!(Bytes, Vec<u8>, String, Box<[u8]>);

impl IntoPayload for &str {
    fn into_payload(self) -> Result<Bytes, PayloadError> {
        Ok(Bytes::copy_from_slice(self.as_bytes()))
    }
}

impl IntoPayload for &[u8] {
    fn into_payload(self) -> Result<Bytes, PayloadError> {
        Ok(Bytes::copy_from_slice(self))
    }
}

impl<const N: usize> IntoPayload for &[u8; N] {
    fn into_payload(self) -> Result<Bytes, PayloadError> {
        Ok(Bytes::copy_from_slice(self))
    }
}

/// A value that is published as JSON.
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

#[cfg(feature = "json")]
impl<T: serde::Serialize> IntoPayload for Json<T> {
    fn into_payload(self) -> Result<Bytes, PayloadError> {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(Arc::new(error)),
        }
    }

    fn content_type(&self) -> Option<&'static str> {
        Some("application/json")
    }
}
