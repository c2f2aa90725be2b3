//! What tests of several modules need.

use crate::picture::width_of;
use noctule_client::machine::Delivery;
use noctule_codec::{Properties, QoS};
use ratatui_core::buffer::Buffer;

/// A message as it comes.
pub(crate) fn message(topic: &str, payload: &[u8], retain: bool) -> Delivery {
    Delivery {
        topic: topic.into(),
        payload: payload.into(),
        qos: QoS::AtMostOnce,
        retain,
        dup: false,
        packet_id: None,
        receipt: None,
        properties: Properties::EMPTY,
    }
}

/// What stands in a picture, line by line, without blanks at the ends.
pub(crate) fn lines(picture: &Buffer) -> Vec<String> {
    let area = picture.area;
    let line = |y| {
        let (mut text, mut x) = (String::new(), area.x);
        while x < area.right() {
            let symbol = picture[(x, y)].symbol();
            text.push_str(symbol);
            // A wide character takes the cell behind it.
            x += u16::try_from(width_of(symbol).max(1)).unwrap_or(1);
        }
        text.trim_end().to_owned()
    };
    (area.y..area.bottom()).map(line).collect()
}
