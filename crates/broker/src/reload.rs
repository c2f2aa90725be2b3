//! Another configuration for a broker that runs.
//!
//! It is read and made ready on a thread of its own: files are opened there, certificates read, names looked up and new
//! listeners bound. Only if all of that goes well it is handed to the shards, by mail; otherwise the log says what is
//! wrong and everything stays as it is. Connections notice nothing: each keeps the gate that it came through.

use crate::access;
use crate::config::{Config, Key, LogFilter, Problems};
use crate::entrance::{Entrance, LISTENERS_MAX};
use crate::gate::Gate;
use crate::shared::{Parcel, Shared};
use crate::watch::Watch;
use crate::{Error, connections_max, memory};
use noctule_auth::{Access, Authority as _};
use noctule_engine::ShardId;
use noctule_session::{Instant, Limits, Rates};
use noctule_transport::OpenFileLimit;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::{error, info, warn};

/// Where another configuration comes from.
pub trait Reloads: Send {
    /// Reads the configuration anew.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn load(&mut self) -> Result<Config, Problems>;

    /// The files it is read from.
    fn files(&self) -> Vec<PathBuf>;

    /// Has this be logged from now on.
    fn set_log(&mut self, filter: &LogFilter);
}

/// Reloads, one at a time.
pub(crate) struct Reloading {
    state: Arc<Mutex<State>>,
    is_under_way: bool,
    /// Somebody asked for another one meanwhile.
    is_wanted_again: bool,
    /// A file has changed, and one begins then.
    due: Option<Instant>,
}

struct State {
    source: Box<dyn Reloads>,
    /// The configuration in force.
    config: Config,
    open_files: OpenFileLimit,
    watch: Option<Watch>,
}

/// Another configuration, ready to be in force.
pub(crate) struct Reloaded {
    pub(crate) limits: Arc<Limits>,
    pub(crate) listeners: NewListeners,
    /// Who may come in, and what they may do.
    pub(crate) access: Access,
    pub(crate) attempts_per_minute_max: u32,
    pub(crate) connections_max: usize,
    pub(crate) connects_per_second_max: u32,
    pub(crate) address_rates: Rates,
    pub(crate) user_rates: Rates,
    pub(crate) drop_ledger_entries_max: u32,
    pub(crate) sys_interval: Option<Duration>,
}

/// What becomes of the listeners that there are, and which come to them.
pub(crate) struct NewListeners {
    /// The gates that take the place of those with the same numbers; a listener without one ends.
    pub(crate) gates: Vec<Arc<Gate>>,
    pub(crate) opened: Vec<Entrance>,
}

/// Why another configuration is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Configuration(#[from] Problems),
    #[error("{0}")]
    Broker(#[from] Error),
}

impl Reloading {
    /// Reloads from `source`, beginning with `config`.
    pub(crate) fn new(source: Box<dyn Reloads>, config: Config, open_files: OpenFileLimit) -> Self {
        let state = Arc::new(Mutex::new(State { source, config, open_files, watch: None }));
        Self { state, is_under_way: false, is_wanted_again: false, due: None }
    }

    /// Hears of files that change, where the configuration says so.
    pub(crate) fn watch(&self, shared: &Arc<Shared>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).watch_files(shared);
    }

    /// A file has changed: begins one when others had the time to change too.
    pub(crate) fn begin_soon(&mut self, now: Instant) {
        self.due.get_or_insert(now + CHANGES_MILLIS);
    }

    /// When one is to begin because a file has changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether one is to begin now because a file has changed.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// Begins one, unless one is under way: then another follows it. What comes of it arrives in the mailbox of the
    /// first shard.
    pub(crate) fn begin(&mut self, gates: Vec<Arc<Gate>>, shared: &Arc<Shared>) {
        if self.is_under_way {
            self.is_wanted_again = true;
            return;
        }
        let (state, shared) = (Arc::clone(&self.state), Arc::clone(shared));
        let thread = thread::Builder::new().name("reload".into());
        let spawned = thread.spawn(move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let reloaded = state.reload(&gates, &shared).map_err(|refused| refused.log()).ok();
            state.watch_files(&shared);
            shared.mailbox(ShardId(0)).put([Parcel::Reloaded(reloaded.map(Box::new))]);
        });
        match spawned {
            Ok(_) => self.is_under_way = true,
            Err(cause) => error!(%cause, "the configuration cannot be reloaded"),
        }
    }

    /// One has ended. Says whether another is wanted.
    pub(crate) fn end(&mut self) -> bool {
        self.is_under_way = false;
        std::mem::take(&mut self.is_wanted_again)
    }
}

impl State {
    /// Reads and makes ready everything; what is in force changes only by what this returns.
    fn reload(&mut self, gates: &[Arc<Gate>], shared: &Shared) -> Result<Reloaded, Refused> {
        let mut config = self.source.load()?;
        let kept = keep_what_needs_a_restart(&mut config, &self.config);
        if config.limits.memory_bytes_max == 0 {
            config.limits.memory_bytes_max = memory::usable_bytes() / 2;
        }
        let listeners = NewListeners::new(&config, gates, shared)?;
        let loaded = access::load(&config, shared.access().generation() + 1)?;
        let reloaded = Reloaded {
            limits: Arc::new(config.limits.clone()),
            listeners,
            access: loaded.access,
            attempts_per_minute_max: config.access.attempts_per_minute_max.0,
            connections_max: connections_max(&config, self.open_files)?,
            connects_per_second_max: config.connects_per_second_max,
            address_rates: config.address_rates,
            user_rates: config.user_rates,
            drop_ledger_entries_max: config.drop_ledger_entries_max,
            sys_interval: config.sys_interval,
        };
        if !kept.is_empty() {
            warn!(keys = kept.join(", "), "these keys have changed and need a restart; the rest is in force");
        }
        loaded.warnings.iter().for_each(|warning| warn!("{warning}"));
        self.source.set_log(&config.log);
        self.config = config;
        Ok(reloaded)
    }
}

impl State {
    /// Hears of changes of the files that the configuration in force is made of.
    fn watch_files(&mut self, shared: &Arc<Shared>) {
        self.watch = None;
        if !self.config.reload_on_change {
            return;
        }
        let mut files = self.source.files();
        for listener in self.config.listeners().filter(|listener| listener.url().scheme().is_tls()) {
            let tls = listener.tls;
            let ca = Some(tls.client_ca).filter(|path| !path.is_empty());
            files.extend(tls.certificate.into_iter().chain(tls.key).chain(ca).map(PathBuf::from));
        }
        files.extend(access::files(&self.config).map(PathBuf::from));
        match Watch::new(files, shared) {
            Ok(watch) => self.watch = Some(watch),
            Err(cause) => {
                error!(%cause, "the files of the configuration cannot be watched; SIGHUP reloads them");
            }
        }
    }
}

impl Refused {
    fn log(&self) {
        for problem in self.to_string().lines() {
            error!("the configuration is not reloaded, and the old one stays: {problem}");
        }
    }
}

impl NewListeners {
    /// The listeners of `config`, with the sockets that listen in the same place already.
    fn new(config: &Config, running: &[Arc<Gate>], shared: &Shared) -> Result<Self, Error> {
        let listeners: Vec<_> = config.listeners().collect();
        let mut left: Vec<&Arc<Gate>> = running.iter().collect();
        let is_free = |number: &u16| {
            shared.served_at(*number) == 0 && running.iter().all(|gate| gate.number != *number)
        };
        let mut numbers = (0..u16::try_from(LISTENERS_MAX).unwrap_or(u16::MAX)).filter(is_free);
        let (mut gates, mut opened) = (Vec::new(), Vec::new());
        for listener in &listeners {
            let url = listener.url();
            match left.iter().position(|gate| gate.url.is_in_place_of(url)) {
                Some(place) => gates.push(Arc::new(Gate::new(listener, left.remove(place).number)?)),
                None => {
                    let too_many = || Error::TooManyListeners { listeners: listeners.len() };
                    let number = numbers.next().ok_or_else(too_many)?;
                    opened.extend(Entrance::open(Gate::new(listener, number)?)?);
                }
            }
        }
        for gate in left {
            info!(listener = gate.name.name(), "a listener ends; its connections go on");
        }
        for entrance in &opened {
            info!(url = %entrance.listener.url(), "a listener begins");
        }
        Ok(Self { gates, opened })
    }
}

/// Says which keys have changed that a running broker cannot change, and gives them their old values.
fn keep_what_needs_a_restart(new: &mut Config, old: &Config) -> Vec<&'static str> {
    let keys = NEED_A_RESTART.iter().filter_map(|name| Key::by_name(name));
    let changed = keys.filter(|key| key.value(new) != key.value(old)).map(|key| key.name).collect();
    new.data_dir.clone_from(&old.data_dir);
    new.http = old.http;
    new.shards = old.shards;
    new.pin_shards = old.pin_shards;
    new.log_format = old.log_format;
    new.log_to.clone_from(&old.log_to);
    new.log_time_format.clone_from(&old.log_time_format);
    new.journal_bytes_max = old.journal_bytes_max;
    new.limits.durability = old.limits.durability;
    new.limits.durability_rules.clone_from(&old.limits.durability_rules);
    new.limits.route_cache_bytes_max = old.limits.route_cache_bytes_max;
    changed
}

/// Files that change together have this long to do so.
const CHANGES_MILLIS: u64 = 500;
/// Keys that a running broker cannot change.
const NEED_A_RESTART: &[&str] = &[
    "data_dir",
    "http",
    "durability",
    "durability_rules",
    "shards",
    "pin_shards",
    "log_format",
    "log_to",
    "log_time_format",
    "limits.journal_bytes_max",
    "limits.route_cache_bytes_max",
];

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_session::Durability;

    #[test]
    fn what_needs_a_restart_keeps_its_value_and_is_named() {
        let old = Config::default();
        let mut new = Config {
            data_dir: "/elsewhere".into(),
            shards: 7,
            pin_shards: true,
            log_format: crate::config::LogFormat::Json,
            log_to: vec![crate::config::LogPlace::Stdout],
            log_time_format: "none".into(),
            journal_bytes_max: 1 << 30,
            connections_max: Some(3),
            ..Config::default()
        };
        new.limits.durability = Durability::Memory;
        new.limits.durability_rules = vec!["a/#=memory".parse().expect("a rule")];
        new.limits.route_cache_bytes_max = 0;
        new.limits.packet_bytes_max = 99;
        let changed = keep_what_needs_a_restart(&mut new, &old);
        let all: Vec<&str> = NEED_A_RESTART.iter().copied().filter(|name| *name != "http").collect();
        assert_eq!(changed, all, "http has one value");
        for name in NEED_A_RESTART {
            let key = Key::by_name(name).expect("a key");
            assert_eq!(key.value(&new), key.value(&old), "{name}");
        }
        assert_eq!((new.connections_max, new.limits.packet_bytes_max), (Some(3), 99));
    }
}
