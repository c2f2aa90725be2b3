//! Giving back to the shards what the journal remembers, before anybody connects.

use crate::journal::read_content;
use crate::runtime::Runtime;
use crate::shared::Shared;
use noctule_engine::{Remembered, home};
use noctule_session::{GroupNumber, Instant, MessageNumber, Position};
use noctule_store::{Directory, Reader};

/// Gives back sessions, retained messages and what groups are owed. What was connected counts as lost at `lost_at`.
pub(crate) fn restore(
    runtimes: &mut [Runtime],
    shared: &Shared,
    remembered: Remembered,
    lost_at: Instant,
    reader: &Reader<Directory>,
) {
    let Remembered { sessions, retained, groups, last_message, last_session, last_group, .. } = remembered;
    shared.directory.go_on_with_numbers(last_message, last_session, last_group);
    for group in &groups {
        if let Some(number) = group.numbers.last() {
            shared.directory.restore_group(&group.share_name, &group.filter, *number);
        }
    }
    let mut held: Vec<(GroupNumber, MessageNumber, Position)> = Vec::new();
    for mut session in sessions {
        for owed in session.session.outbound.iter() {
            held.extend(owed.group().map(|group| (group, owed.number, owed.position())));
        }
        let home = home(&session.session.client_id, shared.shards());
        session.detached_at = session.detached_at.filter(|_| !session.is_connected);
        runtimes[usize::from(home.0)].prepare(|shard, turn| shard.restore(session, lost_at, turn));
    }
    for message in retained {
        runtimes[0].prepare(|shard, turn| shard.restore_retained(message, turn));
    }
    for (group, number, position) in held {
        if let Some(message) = read_content(reader, number, position) {
            runtimes[0].prepare(|shard, turn| shard.restore_debt(group, message, turn));
        }
    }
    for group in groups {
        let Some(number) = group.numbers.last() else { continue };
        for (message, position) in group.waiting {
            if let Some(message) = read_content(reader, message, position) {
                runtimes[0].prepare(|shard, turn| shard.restore_group_message(*number, message, turn));
            }
        }
    }
}
