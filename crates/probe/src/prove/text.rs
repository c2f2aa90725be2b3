//! The proof for people: one page.

use std::fmt::{self, Display, Formatter};

use super::proof::Proof;
use super::verdict::{Attendance, ClassVerdict};

impl Display for Proof {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rounds = match (self.rounds, self.rounds_asked) {
            (1, 1) => "1 round".to_owned(),
            (run, asked) if run < asked => format!("{run} of {asked} rounds"),
            (run, _) => format!("{run} rounds"),
        };
        writeln!(f, "durability of {}: {rounds}, MQTT {}, seed {}", self.broker, self.mqtt, self.seed)?;
        self.write_setting(f)?;
        self.write_classes(f)?;
        self.write_the_rest(f)?;
        self.write_incidents(f)?;
        self.write_verdict(f)
    }
}

impl Proof {
    fn write_setting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "  command       {}", self.command)?;
        let place = &self.place;
        write!(f, "  data          {} on {}", place.folder, place.file_system)?;
        writeln!(f, " (mounted at {})", place.mount_point)?;
        if place.is_memory {
            writeln!(
                f,
                "  CAUTION       that is memory: it outlives a killed process, but no disk was tried"
            )?;
        }
        let kills = &self.kills;
        writeln!(
            f,
            "  kill -9       {} times: {} under load, {} while starting, {} while clients came back",
            kills.sum(),
            kills.under_load,
            kills.while_starting,
            kills.while_returning
        )?;
        let restarts = &self.restarts;
        writeln!(
            f,
            "  restarts      {}, until the first client was let in {} ms on average, {} at most",
            restarts.count, restarts.mean_ms, restarts.max_ms
        )?;
        let resumed = &self.resumed;
        write!(f, "  in flight     {} PUBLISH and {} PUBREL ", resumed.publishes, resumed.releases)?;
        write!(f, "sent again after restarts")?;
        match resumed.abandoned {
            0 => writeln!(f),
            count => writeln!(f, ", {count} exchanges given up with their session"),
        }
    }

    fn write_classes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  {:<14} {:>8} {:>13} {:>9} {:>8} {:>11} {:>8} {:>13}",
            "copies", "sent", "acknowledged", "received", "LOST", "oldest, ms", "doubled", "out of order"
        )?;
        for class in &self.classes {
            write_class(f, class)?;
        }
        writeln!(f)
    }

    fn write_the_rest(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let retained = &self.retained;
        writeln!(
            f,
            "  retained      {} updates acknowledged; {} values read after restarts: {} right, {} OLDER, {} GONE",
            retained.acknowledged, retained.owed, retained.right, retained.older, retained.gone
        )?;
        let sessions = &self.sessions;
        writeln!(
            f,
            "  sessions      {} taken up after restarts: {} present, {} FORGOTTEN",
            sessions.owed, sessions.present, sessions.forgotten
        )?;
        let subscriptions = &self.subscriptions;
        writeln!(
            f,
            "  subscriptions {} of connected clients between kills: {} served, {} SILENT",
            subscriptions.owed, subscriptions.served, subscriptions.silent
        )?;
        let wills = &self.wills;
        writeln!(
            f,
            "  wills         {} due at kills: {} published, {} not, {} more than once (for information)",
            wills.due, wills.published, wills.missing, wills.repeated
        )
    }

    fn write_incidents(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for refused in &self.refused {
            let (packet, name, count) = (refused.packet, refused.name, refused.count);
            writeln!(f, "  refused       {packet} 0x{:02X} {name}, {count} times", refused.reason_code)?;
        }
        for (label, list) in
            [("disconnected", &self.disconnects), ("VIOLATION", &self.violations), ("note", &self.notes)]
        {
            for happened in list {
                writeln!(f, "  {label:<13} {}, {} times", happened.what, happened.count)?;
            }
        }
        Ok(())
    }

    fn write_verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_durable {
            return write!(
                f,
                "\n  KEPT: nothing that was acknowledged was lost, and nothing came twice that must not"
            );
        }
        write!(f, "\n  BROKEN:")?;
        let faults = [
            (self.lost(), "acknowledged copies lost"),
            (self.doubled_faults(), "copies doubled at QoS 2"),
            (self.sessions.forgotten, "sessions forgotten"),
            (self.retained.older + self.retained.gone, "retained values older or gone"),
        ];
        let faults = faults.iter().filter(|(count, _)| *count > 0);
        let mut faults: Vec<String> = faults.map(|(count, what)| format!("{count} {what}")).collect();
        if self.never_returned.is_some() {
            faults.push("the broker did not come back".to_owned());
        }
        write!(f, " {}", faults.join(", "))?;
        if let Some(why) = &self.never_returned {
            write!(f, "\n  After a kill the broker did not serve again: {why}")?;
        }
        Ok(())
    }
}

fn write_class(f: &mut Formatter<'_>, class: &ClassVerdict) -> fmt::Result {
    let name = format!("QoS {} {}", class.qos, name(class.attendance));
    let order = match class.attendance {
        Attendance::Shared => "-".to_owned(),
        _ => class.out_of_order.to_string(),
    };
    let age = class.lost_age_max_ms.map_or("-".to_owned(), |age| age.to_string());
    writeln!(
        f,
        "  {name:<14} {:>8} {:>13} {:>9} {:>8} {age:>11} {:>8} {order:>13}",
        class.sent, class.acknowledged, class.received, class.lost, class.doubled
    )
}

fn name(attendance: Attendance) -> &'static str {
    match attendance {
        Attendance::Online => "online",
        Attendance::Slow => "slow",
        Attendance::Offline => "offline",
        Attendance::Shared => "shared",
    }
}
