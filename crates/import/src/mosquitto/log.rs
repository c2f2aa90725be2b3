//! Options about the log.

use super::became::Became;
use super::draft::{Draft, Level, Log};
use super::lines::Line;

type Taken = Result<Became, String>;

/// `log_dest stderr`, and others; each one more place, except `none`.
pub(super) fn log_dest(draft: &mut Draft, line: &Line) -> Taken {
    let (kind, rest) = line.text()?.split_once(' ').unwrap_or((&line.value, ""));
    let place = match (kind, rest.trim()) {
        ("none", _) => {
            draft.log.places.clear();
            draft.log.places_line = Some(line.place.clone());
            return Ok(Became::translated("log = \"off\", unless another log_dest follows"));
        }
        ("stderr" | "stdout", _) => kind.to_owned(),
        ("file", "") => return Err("the path of the file is missing".into()),
        ("file", path) => format!("file:{path}"),
        ("syslog", _) => "stderr".to_owned(),
        ("topic", _) => {
            let note = "log lines are not published; `noctule serve` writes them to log_to, in text or JSON";
            return Ok(Became::refused(note, false));
        }
        ("dlt" | "android", _) => return Ok(Became::refused("this is not written to; see log_to", false)),
        _ => {
            return Err(format!(
                "found {kind:?}, allowed is none, stderr, stdout, syslog, topic or file PATH"
            ));
        }
    };
    let note = match kind {
        "syslog" => "log_to has \"stderr\", which the service manager hands to the system's log".to_owned(),
        _ => format!("log_to has {place:?}"),
    };
    draft.log.add_place(place, line);
    Ok(if kind == "syslog" { Became::translated(note) } else { Became::kept(note) })
}

/// `log_type error`, and others; each one more type, except `none`.
pub(super) fn log_type(draft: &mut Draft, line: &Line) -> Taken {
    let word = line.word()?;
    let level = match word {
        "none" => Level::Off,
        "error" => Level::Error,
        "warning" => Level::Warn,
        "notice" | "information" => Level::Info,
        "debug" | "all" => Level::Debug,
        "subscribe" | "unsubscribe" | "websockets" | "internal" => {
            return Ok(Became::not_needed(
                "log = \"debug\" says more, and `noctule_broker=debug` of one part",
            ));
        }
        _ => return Err(format!("found {word:?}, which is no type of log lines")),
    };
    let before = draft.log.level.filter(|_| level != Level::Off);
    draft.log.level = Some(before.map_or(level, |before| before.max(level)));
    draft.log.level_line = Some(line.place.clone());
    Ok(Became::translated(format!("log is {:?} or more", level.name())))
}

/// `connection_messages false`.
pub(super) fn connection_messages(draft: &mut Draft, line: &Line) -> Taken {
    let is_on = line.switch()?;
    draft.log.hides_connections = (!is_on).then(|| line.place.clone());
    match is_on {
        true => Ok(Became::kept("they are logged at level info")),
        false => Ok(Became::translated(format!("log has {CONNECTIONS_HIDDEN:?}"))),
    }
}

/// `log_timestamp false`.
pub(super) fn log_timestamp(draft: &mut Draft, line: &Line) -> Taken {
    match line.switch()? {
        true => Ok(Became::kept("log lines begin with the time")),
        false => Ok(Became::translated(draft.settings.take("log_time_format", "none", line))),
    }
}

/// `log_timestamp_format FORMAT`, as for strftime.
pub(super) fn log_timestamp_format(draft: &mut Draft, line: &Line) -> Taken {
    // `log_timestamp false` hides the time in whatever form, on whatever line it stands.
    if draft.settings.text("log_time_format") == Some("none") {
        return Ok(Became::not_needed("log_timestamp is false"));
    }
    Ok(Became::kept(draft.settings.set_once("log_time_format", line)?))
}

impl Log {
    fn add_place(&mut self, place: String, line: &Line) {
        if !self.places.contains(&place) {
            self.places.push(place);
        }
        self.places_line = Some(line.place.clone());
    }

    /// The level and what is left out of it.
    pub(super) fn filter(&self) -> String {
        let level = self.level.unwrap_or(Level::Info);
        let is_off = self.places.is_empty() && self.places_line.is_some();
        match self.hides_connections {
            _ if is_off => Level::Off.name().into(),
            Some(_) if level >= Level::Info => format!("{},{CONNECTIONS_HIDDEN}", level.name()),
            _ => level.name().into(),
        }
    }
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The part of the broker that says who comes and goes, without what it says at level info.
const CONNECTIONS_HIDDEN: &str = "noctule_broker::ledger=warn";
