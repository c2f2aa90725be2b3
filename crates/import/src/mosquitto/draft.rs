//! What has been read so far.

use super::lines::Line;
use crate::Place;
use crate::settings::{Settings, Value};

/// A configuration that is being put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Settings under our names.
    pub(super) settings: Settings,
    /// Options that are put together with others at the end, under mosquitto's names.
    pub(super) raw: Settings,
    /// What `per_listener_settings` says.
    pub(super) per_listener: bool,
    /// What is said of who may come in, for all listeners. Under the names of the keys of a listener.
    pub(super) access: Settings,
    /// The listener of what stands above the first `listener`.
    pub(super) default_listener: Listener,
    pub(super) listeners: Vec<Listener>,
    /// Where log lines go, and which.
    pub(super) log: Log,
    /// By reading of a file: the listener that lines are about, and the plugin.
    current: Vec<Current>,
}

/// A listener that is being put together.
#[derive(Debug, Default)]
pub(super) struct Listener {
    /// The line that begins it.
    pub(super) place: Option<Place>,
    pub(super) port: Option<u16>,
    /// An address, a name, or the path of a unix socket.
    pub(super) host: Option<String>,
    pub(super) is_unix: bool,
    /// Settings under our names.
    pub(super) settings: Settings,
    /// Options that are put together with others at the end, under mosquitto's names.
    pub(super) raw: Settings,
    /// What is said of who may come in, if that is said by listener.
    pub(super) access: Settings,
    /// Something was said that makes mosquitto open the default listener.
    pub(super) is_wanted: bool,
    /// It is not opened.
    pub(super) is_refused: bool,
}

/// Where log lines go, and which.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) places: Vec<String>,
    pub(super) places_line: Option<Place>,
    pub(super) level: Option<Level>,
    pub(super) level_line: Option<Place>,
    pub(super) hides_connections: Option<Place>,
}

/// The most that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Debug, Default)]
struct Current {
    /// `None`: the default listener.
    listener: Option<usize>,
    plugin: Option<Plugin>,
}

/// A plugin whose work is done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    PasswordFile,
    AclFile,
    DynamicSecurity,
    /// One that is not there.
    Other,
}

impl Draft {
    /// The listener that this line is about.
    pub(super) fn listener(&mut self, line: &Line) -> &mut Listener {
        let listener = self.current(line).listener;
        match listener.and_then(|index| self.listeners.get_mut(index)) {
            Some(listener) => listener,
            None => &mut self.default_listener,
        }
    }

    /// Whether this line stands above the first listener of its file.
    pub(super) fn is_about_default_listener(&mut self, line: &Line) -> bool {
        self.current(line).listener.is_none()
    }

    /// Begins a listener; the following lines of the file are about it.
    pub(super) fn begin_listener(&mut self, line: &Line, listener: Listener) {
        self.current(line).listener = Some(self.listeners.len());
        self.listeners.push(listener);
    }

    /// Where a line says who may come in: with `per_listener_settings` on the listener that it is about.
    pub(super) fn access(&mut self, line: &Line) -> &mut Settings {
        if self.per_listener { &mut self.listener(line).access } else { &mut self.access }
    }

    /// The plugin that this line is about.
    pub(super) fn plugin(&mut self, line: &Line) -> &mut Option<Plugin> {
        &mut self.current(line).plugin
    }

    fn current(&mut self, line: &Line) -> &mut Current {
        if self.current.len() <= line.reading {
            self.current.resize(line.reading + 1, Current::default());
        }
        &mut self.current[line.reading]
    }

    /// Whether mosquitto takes connections from this machine alone, since nobody has said where it listens.
    pub(super) fn is_local_only(&self) -> bool {
        let default = &self.default_listener;
        self.listeners.is_empty() && default.port.is_none() && default.host.is_none()
    }
}

impl Settings {
    /// Sets a text that mosquitto takes only once.
    pub(super) fn set_once(&mut self, key: &'static str, line: &Line) -> Result<String, String> {
        let text = line.text()?;
        if self.has(key) {
            return Err("it is there twice, which mosquitto does not take either".into());
        }
        self.set(key, text, Some(line.place.clone()));
        Ok(shown(key, text))
    }

    /// Sets a key to the value of a line.
    pub(super) fn take(&mut self, key: &'static str, value: impl Into<Value>, line: &Line) -> String {
        let value = value.into();
        let note = shown(key, value.clone());
        self.set(key, value, Some(line.place.clone()));
        note
    }
}

/// A key with its value, for the report.
pub(super) fn shown(key: &str, value: impl Into<Value>) -> String {
    format!("{key} = {}", value.into())
}
