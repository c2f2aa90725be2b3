//! What a restart needs of records: all of them, without the payloads that it leaves in the journal.
//!
//! A payload that is left out stands as one in parts of which none is named, so that its length is known and whoever
//! looked for it here would find it missing. What is retained is kept whole, because a restart has it in memory.

use super::decode::split_first;
use super::wire::Kind;
use super::{Record, RecordError};
use noctule_session::{Parts, Payload, Publication};
use std::sync::Arc;

/// Appends the records in the body of a frame to `out`, without the payloads that a restart leaves in the journal.
/// [`Replay::apply_frame`](crate::Replay::apply_frame) makes the same of them as of the body.
///
/// # Errors
/// The bytes are no records.
pub fn brief(mut body: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
    while !body.is_empty() {
        let (kind, _, rest) = split_first(body)?;
        if matches!(kind, Kind::Published | Kind::Moved | Kind::Part | Kind::GroupOwed) {
            without_payload(Record::decode(body)?.0).encode(out);
        } else {
            out.extend_from_slice(&body[..body.len() - rest.len()]);
        }
        body = rest;
    }
    Ok(())
}

fn without_payload(mut record: Record) -> Record {
    match &mut record {
        Record::Published(frame) if !frame.retained => leave_out(&mut frame.message),
        Record::Moved(message) | Record::GroupOwed { message, .. } => leave_out(message),
        Record::Part(part) => part.bytes = Payload::EMPTY,
        _ => {}
    }
    record
}

fn leave_out(message: &mut Arc<Publication>) {
    // It was just decoded, so nobody else has it.
    let Some(message) = Arc::get_mut(message) else { return };
    let bytes = message.payload.len() as u64;
    if bytes > 0 {
        message.payload = Payload::EMPTY;
        message.parts = Some(Box::new(Parts { bytes, places: Box::default() }));
    }
}
