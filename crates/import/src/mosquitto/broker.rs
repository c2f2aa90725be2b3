//! Options about the broker as a whole: bounds and what is kept.

use super::became::Became;
use super::draft::Draft;
use super::lines::Line;

type Taken = Result<Became, String>;

/// `max_inflight_messages COUNT`; 0 is no limit.
pub(super) fn max_inflight_messages(draft: &mut Draft, line: &Line) -> Taken {
    let count = match line.number(0..=65_535)?.unsigned_abs() {
        0 => 65_535,
        count => count,
    };
    for key in INFLIGHT_KEYS {
        draft.settings.take(key, count, line);
    }
    Ok(Became::translated(format!("{} = {count}", INFLIGHT_KEYS.join(", "))))
}

/// `max_queued_bytes COUNT`; 0 is no limit of its own.
pub(super) fn max_queued_bytes(draft: &mut Draft, line: &Line) -> Taken {
    match line.count()? {
        0 => Ok(Became::not_needed("memory bounds all queues together (limits.memory_bytes_max)")),
        bytes => {
            let least = bytes.max(QUEUE_BYTES_LEAST);
            let note = draft.settings.take("limits.queue_bytes_max", least, line);
            Ok(if bytes == least {
                Became::kept(note)
            } else {
                Became::translated(format!("{note}, the least"))
            })
        }
    }
}

/// `max_keepalive SECONDS`; 0 is no limit. Like 2.0, and unlike 2.1, a 3.x client keeps its own.
pub(super) fn max_keepalive(draft: &mut Draft, line: &Line) -> Taken {
    let seconds = line.number(0..=65_535)?.unsigned_abs();
    Ok(Became::kept(draft.settings.take("limits.keep_alive_max", seconds, line)))
}

/// `sys_interval SECONDS`; 0 is never.
pub(super) fn sys_interval(draft: &mut Draft, line: &Line) -> Taken {
    let seconds = line.number(0..=65_535)?.unsigned_abs();
    Ok(Became::kept(draft.settings.take("sys_interval", seconds, line)))
}

/// `memory_limit BYTES`; 0 is no limit, which is half of the machine here.
pub(super) fn memory_limit(draft: &mut Draft, line: &Line) -> Taken {
    match line.count()? {
        0 => Ok(Became::not_needed("half of the machine's memory is the limit unless another one is set")),
        bytes => Ok(Became::kept(draft.settings.take("limits.memory_bytes_max", bytes, line))),
    }
}

/// `global_max_clients COUNT`; a negative one is no limit.
pub(super) fn global_max_clients(draft: &mut Draft, line: &Line) -> Taken {
    match line.bound()? {
        0 => Ok(Became::not_needed("limits.sessions_max bounds them at 1,000,000")),
        count => Ok(Became::kept(draft.settings.take("limits.sessions_max", count, line))),
    }
}

/// `global_max_connections COUNT`; a negative one is no limit.
pub(super) fn global_max_connections(draft: &mut Draft, line: &Line) -> Taken {
    Ok(Became::kept(draft.settings.take("limits.connections_max", line.bound()?, line)))
}

/// `max_topic_alias_broker COUNT`, for all listeners.
pub(super) fn max_topic_alias_broker(draft: &mut Draft, line: &Line) -> Taken {
    let count = line.number(0..=65_535)?.unsigned_abs();
    let note = draft.settings.take("limits.topic_alias_maximum_out", count, line);
    Ok(Became::translated(format!("{note}, for all listeners")))
}

/// `persistence true`.
pub(super) fn persistence(draft: &mut Draft, line: &Line) -> Taken {
    let durability = if line.switch()? { "disk" } else { "memory" };
    Ok(Became::translated(draft.settings.take("durability", durability, line)))
}

/// `persistent_client_expiration 14d`.
pub(super) fn persistent_client_expiration(draft: &mut Draft, line: &Line) -> Taken {
    let word = line.word()?;
    let seconds = lifetime_seconds(word).ok_or_else(|| {
        format!("found {word:?}, allowed is a whole number with h, d, w, m (30 days) or y, like 14d")
    })?;
    let note = draft.settings.take("limits.session_expiry_max", format!("{seconds}s"), line);
    Ok(Became::translated(note))
}

/// A length of time as mosquitto counts it: a month has 30 days, a year 365.
fn lifetime_seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u32 = match unit {
        "s" => 1,
        "h" => 3_600,
        "d" => DAY,
        "w" => 7 * DAY,
        "m" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(seconds)
}

const DAY: u32 = 86_400;

/// What is in flight, in both directions and for all versions.
pub(super) const INFLIGHT_KEYS: [&str; 3] =
    ["limits.inflight_messages_max", "limits.inflight_messages_max_v3", "limits.receive_maximum"];

/// The least that `limits.queue_bytes_max` takes.
const QUEUE_BYTES_LEAST: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_counted_as_mosquitto_does() {
        for (text, seconds) in [
            ("10s", Some(10)),
            ("2h", Some(7_200)),
            ("14d", Some(1_209_600)),
            ("1w", Some(604_800)),
            ("2m", Some(5_184_000)),
            ("1y", Some(31_536_000)),
            ("200y", None),
            ("d", None),
            ("", None),
            ("5", None),
            ("1é", None),
            ("-1d", None),
        ] {
            assert_eq!(lifetime_seconds(text), seconds, "{text}");
        }
    }
}
