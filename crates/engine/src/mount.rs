//! Mount points: the clients of a listener see the topics below a prefix as if there were no others.
//!
//! The prefix is put before topics and filters where packets come in, so that everything behind (routes, rules,
//! retained messages, the journal) has whole names only. Where a PUBLISH is encoded it is taken off again, see
//! [`Wire`](noctule_session::Wire).

use noctule_codec::Will;
use noctule_session::StoredWill;
use std::borrow::Cow;
use std::sync::Arc;

/// A topic name as everybody else knows it.
pub(crate) fn whole_topic<'a>(mount_point: &str, topic: &'a str) -> Cow<'a, str> {
    if mount_point.is_empty() { topic.into() } else { [mount_point, topic].concat().into() }
}

/// A topic filter as everybody else knows it. The prefix of a shared one stands behind its `$share/GROUP/`.
pub(crate) fn whole_filter<'a>(mount_point: &str, filter: &'a str) -> Cow<'a, str> {
    let Some(shared) = filter.strip_prefix(crate::subscribe::SHARE) else {
        return whole_topic(mount_point, filter);
    };
    match shared.find('/') {
        Some(end) if !mount_point.is_empty() => {
            let (share, filter) = filter.split_at(crate::subscribe::SHARE.len() + end + 1);
            [share, mount_point, filter].concat().into()
        }
        // What is no filter is refused as it is.
        _ => filter.into(),
    }
}

/// The will inside a CONNECT, with its whole topic name.
pub(crate) fn stored_will(mount_point: &str, will: &Will<'_>) -> Arc<StoredWill> {
    let mut stored = StoredWill::new(will);
    if !mount_point.is_empty() {
        stored.topic = whole_topic(mount_point, will.topic).into();
    }
    Arc::new(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_stands_before_topics_and_behind_the_name_of_a_group() {
        for (mount_point, filter, whole) in [
            ("", "a/+", "a/+"),
            ("", "$share/g/a", "$share/g/a"),
            ("hall/", "a/+", "hall/a/+"),
            ("hall/", "#", "hall/#"),
            ("hall/", "$share/g/a/#", "$share/g/hall/a/#"),
            ("hall/", "$share/g/", "$share/g/hall/"),
            ("hall/", "$share/g", "$share/g"),
            ("hall/", "$SYS/#", "hall/$SYS/#"),
        ] {
            assert_eq!(whole_filter(mount_point, filter), whole, "{filter} below {mount_point:?}");
        }
    }
}
