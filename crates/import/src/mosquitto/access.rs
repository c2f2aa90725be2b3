//! Options about who may come in, and plugins that say so.

use super::became::Became;
use super::draft::{Draft, Plugin, shown};
use super::lines::{INCLUDE_DIR, Line};
use crate::Problem;
use crate::settings::Settings;

type Taken = Result<Became, String>;

/// `per_listener_settings true`, above all that it is about.
pub(super) fn per_listener_settings(draft: &mut Draft, line: &Line) -> Taken {
    let is_on = line.switch()?;
    if is_on && !draft.access.is_empty() {
        return Err("it has to stand above all that says who may come in, to mosquitto too".into());
    }
    draft.per_listener = is_on;
    match is_on {
        true => Ok(Became::translated("each [[listener]] says who may come in there")),
        false => Ok(Became::kept("section [access] is about all listeners")),
    }
}

/// `allow_anonymous true`.
pub(super) fn allow_anonymous(draft: &mut Draft, line: &Line) -> Taken {
    let from = from_where(line.switch()?);
    let section = section(draft);
    Ok(Became::translated(format!("{section}.{}", draft.access(line).take("anonymous", from, line))))
}

/// `listener_allow_anonymous true`, which is stronger than `allow_anonymous`.
pub(super) fn listener_allow_anonymous(draft: &mut Draft, line: &Line) -> Taken {
    let from = from_where(line.switch()?);
    let settings = &mut draft.listener(line).settings;
    Ok(Became::translated(format!("listener.{}", settings.take("anonymous", from, line))))
}

/// `password_file PATH`.
pub(super) fn password_file(draft: &mut Draft, line: &Line) -> Taken {
    file(draft, line, "mosquitto_password_file")
}

/// `acl_file PATH`.
pub(super) fn acl_file(draft: &mut Draft, line: &Line) -> Taken {
    file(draft, line, "mosquitto_acl_file")
}

fn file(draft: &mut Draft, line: &Line, key: &'static str) -> Taken {
    let section = section(draft);
    let note = draft.access(line).set_once(key, line)?;
    if draft.per_listener {
        draft.listener(line).is_wanted = true;
    }
    Ok(Became::kept(format!("{section}.{note}; the file is read as it is")))
}

/// `allow_zero_length_clientid true`.
pub(super) fn allow_zero_length_clientid(draft: &mut Draft, line: &Line) -> Taken {
    let is_on = line.switch()?;
    let note = draft.access(line).take("empty_client_id", is_on, line);
    Ok(Became::kept(format!("listener.{note}")))
}

/// `auto_id_prefix PREFIX`.
pub(super) fn auto_id_prefix(draft: &mut Draft, line: &Line) -> Taken {
    let note = draft.access(line).set_once("assigned_client_id_prefix", line)?;
    Ok(Became::kept(format!("listener.{note}")))
}

/// `listener_auto_id_prefix PREFIX`, which is stronger than `auto_id_prefix`.
pub(super) fn listener_auto_id_prefix(draft: &mut Draft, line: &Line) -> Taken {
    let note = draft.listener(line).settings.set_once("assigned_client_id_prefix", line)?;
    Ok(Became::kept(format!("listener.{note}")))
}

/// `clientid_prefixes PREFIX`, on all listeners.
pub(super) fn clientid_prefixes(draft: &mut Draft, line: &Line) -> Taken {
    let text = line.text()?;
    draft.raw.set_once("clientid_prefixes", line)?;
    Ok(Became::kept(format!("{} on each listener", shown("listener.client_id_prefix", text))))
}

/// `include_dir FOLDER`; its files have been read in its place.
pub(super) fn include_dir(_: &mut Draft, line: &Line) -> Taken {
    debug_assert_eq!(line.name, INCLUDE_DIR);
    line.text()?;
    match line.reading {
        0 => Ok(Became::translated("what its files say stands in the one file that is written")),
        _ => Ok(Became::not_needed("a file that is included includes nothing, to mosquitto either")),
    }
}

/// `plugin PATH`: three of them are understood.
pub(super) fn plugin(draft: &mut Draft, line: &Line) -> Taken {
    let path = line.text()?;
    let is = |name: &str| path.rsplit('/').next().is_some_and(|file| file.starts_with(name));
    let (plugin, became) = if is("mosquitto_password_file") {
        (
            Plugin::PasswordFile,
            Became::not_needed("the files of passwords that it reads are read as they are"),
        )
    } else if is("mosquitto_acl_file") {
        (Plugin::AclFile, Became::not_needed("the files of rights that it reads are read as they are"))
    } else if is("mosquitto_dynamic_security") {
        let note = "the file of clients, groups and roles that it reads is read as it is; nobody changes it over \
                    $CONTROL: change the file and reload (SIGHUP)";
        // Its file follows; without one the plugin would allow everything.
        draft.access(line).set(DYNAMIC_SECURITY_FILE, "", Some(line.place.clone()));
        (Plugin::DynamicSecurity, Became::translated(note))
    } else {
        let note =
            "plugins of mosquitto cannot be run: say with [access] and docs/security.md who may do what";
        (Plugin::Other, Became::refused(note, true))
    };
    *draft.plugin(line) = Some(plugin);
    Ok(became)
}

/// `plugin_opt_NAME VALUE`, an option of the plugin above it.
pub(super) fn plugin_opt(draft: &mut Draft, line: &Line) -> Taken {
    let name =
        line.name.strip_prefix("plugin_opt_").or(line.name.strip_prefix("auth_opt_")).unwrap_or_default();
    match (*draft.plugin(line), name) {
        (None, _) => Err("there is no plugin above it".into()),
        (Some(Plugin::PasswordFile), "password_file") => password_file(draft, line),
        (Some(Plugin::AclFile), "acl_file") => acl_file(draft, line),
        (Some(Plugin::DynamicSecurity), "config_file") => {
            let section = section(draft);
            let note = draft.access(line).take(DYNAMIC_SECURITY_FILE, line.text()?, line);
            Ok(Became::kept(format!("{section}.{note}; the file is read as it is")))
        }
        (Some(_), _) => Ok(Became::refused("the plugin it belongs to is not there", false)),
    }
}

/// Says of what was said about who may come in what is missing in it.
pub(super) fn problem_of(access: &Settings) -> Option<Problem> {
    let place =
        access.origin(DYNAMIC_SECURITY_FILE).filter(|_| access.text(DYNAMIC_SECURITY_FILE) == Some(""))?;
    let message = "plugin: plugin_opt_config_file is missing; mosquitto starts all the same, and lets everybody do \
                   everything";
    Some(Problem { place, message: message.into() })
}

/// The key of a listener for what the plugin reads.
pub(super) const DYNAMIC_SECURITY_FILE: &str = "mosquitto_dynamic_security_file";

fn from_where(is_allowed: bool) -> &'static str {
    if is_allowed { "always" } else { "never" }
}

fn section(draft: &Draft) -> &'static str {
    if draft.per_listener { "listener" } else { "access" }
}
