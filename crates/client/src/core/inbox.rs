//! What one stream has received and its user has not taken.
//!
//! Invariants:
//! - A message above QoS 0 is released (acknowledged, once every stream that has it has released it) when it is
//!   taken, dropped, or its stream is gone; until then the server counts it as outstanding.
//! - A buffer holds at most its bounds of QoS 0 messages; of others never more than the window of this client.

use crate::message::Arrived;
use noctule_codec::QoS;
use std::collections::VecDeque;
use std::task::Waker;

/// What happens to messages that find the buffer of their stream full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// QoS 1 and 2 wait without being acknowledged, which holds the server back at this client's Receive Maximum,
    /// all streams together; QoS 0 messages are dropped. For consumers that must see everything.
    #[default]
    HoldBack,
    /// The oldest message is dropped and acknowledged. For consumers that want the present.
    DropOldest,
    /// The new message is dropped and acknowledged. For consumers that want what they have begun.
    DropNewest,
}

/// How much a stream keeps for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) overflow: Overflow,
}

/// The buffer of one stream.
#[derive(Debug)]
pub(crate) struct Inbox {
    bounds: Bounds,
    queue: VecDeque<Arrived>,
    bytes: usize,
    dropped: u64,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, queue: VecDeque::new(), bytes: 0, dropped: 0, waker: None }
    }

    /// Takes a message in. What there is no room for is returned, to be released.
    #[must_use]
    pub(crate) fn offer(&mut self, message: Arrived) -> Vec<Arrived> {
        let mut released = Vec::new();
        if self.is_full_for(&message) {
            match self.bounds.overflow {
                Overflow::HoldBack if message.qos() > QoS::AtMostOnce => {}
                Overflow::HoldBack | Overflow::DropNewest => {
                    self.dropped += 1;
                    return vec![message];
                }
                Overflow::DropOldest => released = self.make_room_for(&message),
            }
        }
        self.bytes += message.bytes();
        self.queue.push_back(message);
        self.wake();
        released
    }

    /// Takes the next message out.
    pub(crate) fn take(&mut self) -> Option<Arrived> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.bytes();
        Some(message)
    }

    /// Everything that was not taken, because the stream is gone.
    pub(crate) fn drain(&mut self) -> VecDeque<Arrived> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }

    /// Messages that were dropped because the buffer was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Who is to be told of the next change.
    pub(crate) fn set_waker(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }

    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// One message always has room.
    fn is_full_for(&self, message: &Arrived) -> bool {
        let is_above = self.bytes.saturating_add(message.bytes()) > self.bounds.bytes_max;
        self.queue.len() >= self.bounds.messages_max.max(1) || (is_above && !self.queue.is_empty())
    }

    fn make_room_for(&mut self, message: &Arrived) -> Vec<Arrived> {
        let mut released = Vec::new();
        while self.is_full_for(message)
            && let Some(oldest) = self.take()
        {
            self.dropped += 1;
            released.push(oldest);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(overflow: Overflow) -> Inbox {
        Inbox::new(Bounds { messages_max: 2, bytes_max: 1 << 20, overflow })
    }

    fn offer(inbox: &mut Inbox, topic: &str, qos: QoS) -> Vec<String> {
        let released = inbox.offer(Arrived::for_test(topic, qos));
        released.iter().map(|message| message.topic().to_owned()).collect()
    }

    fn taken(inbox: &mut Inbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.take().map(|message| message.topic().to_owned())).collect()
    }

    #[test]
    fn hold_back_keeps_what_the_server_counts_and_drops_what_it_does_not() {
        let mut inbox = inbox(Overflow::HoldBack);
        for topic in ["a", "b", "c"] {
            assert!(offer(&mut inbox, topic, QoS::AtLeastOnce).is_empty());
        }
        assert_eq!(offer(&mut inbox, "d", QoS::AtMostOnce), ["d"]);
        assert_eq!((taken(&mut inbox), inbox.dropped()), (vec!["a".into(), "b".into(), "c".into()], 1));
    }

    #[test]
    fn drop_oldest_keeps_the_present_and_drop_newest_the_past() {
        let mut inbox_oldest = inbox(Overflow::DropOldest);
        let mut inbox_newest = inbox(Overflow::DropNewest);
        for topic in ["a", "b", "c"] {
            offer(&mut inbox_oldest, topic, QoS::AtLeastOnce);
            offer(&mut inbox_newest, topic, QoS::AtLeastOnce);
        }
        assert_eq!((taken(&mut inbox_oldest), inbox_oldest.dropped()), (vec!["b".into(), "c".into()], 1));
        assert_eq!((taken(&mut inbox_newest), inbox_newest.dropped()), (vec!["a".into(), "b".into()], 1));
    }

    #[test]
    fn a_message_above_the_bytes_has_room_alone() {
        let mut inbox = Inbox::new(Bounds { messages_max: 9, bytes_max: 0, overflow: Overflow::DropNewest });
        assert!(offer(&mut inbox, "a", QoS::AtMostOnce).is_empty());
        assert_eq!(offer(&mut inbox, "b", QoS::AtMostOnce), ["b"]);
        assert_eq!(taken(&mut inbox), ["a"]);
        assert!(offer(&mut inbox, "c", QoS::AtMostOnce).is_empty());
    }
}
