//! mosquitto's `dynamic-security.json`: its clients as users, its roles as rules.
//!
//! - A client has its own roles first, by their priority, then those of its groups, by the priority of the group and of
//!   the role in it. Equal priorities keep their order. Clients without user name have the roles of `anonymousGroup`.
//! - Of each role, the entries of the kind that is asked for decide in the order of their priority, `subscribeLiteral`
//!   before `subscribePattern`. What no role decides is decided by `defaultACLAccess`, and what is not named there is
//!   denied.
//! - Somebody who has come in and is no client of the file may do nothing.
//!
//! All of it is an order of rules in which the first one decides ([`rules`](crate::rules)). Clients with the same roles
//! in the same order share their rules: that order is the name of a group which they are in.
//!
//! The file is read and never written. UNSUBSCRIBE is always granted here, and passwords are no reason to write either.

use crate::file_error::FileError;
use crate::password::PasswordHash;
use crate::rules::{
    Actions, Conditions, Effect, NamePattern, PatternError, QosSet, Rule, TopicPattern, User as WhichUser,
};
use crate::users::{User, Users, UsersKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A `dynamic-security.json` as users and rules.
#[derive(Debug)]
pub struct DynamicSecurity {
    /// Its clients.
    pub users: Users,
    /// Its roles, in an order in which the first one decides.
    pub rules: Vec<Rule>,
    /// What looks like a mistake, or has no meaning here.
    pub warnings: Vec<FileError>,
}

/// Reads a `dynamic-security.json`. `file` is its name, for decisions and errors.
///
/// # Errors
/// It is no JSON, or everything in it that is not understood.
pub fn parse_dynamic_security(file: &str, text: &str) -> Result<DynamicSecurity, Vec<FileError>> {
    let mut reader = Reader::new(file, text);
    let content: Content<'_> = serde_json::from_str(text).map_err(|error| vec![reader.json(0, &error)])?;
    let roles = reader.roles(&content.roles);
    let groups = reader.groups(&content.groups, &roles);
    let clients = reader.clients(&content.clients, &roles, &groups);
    let anonymous = reader.anonymous(content.anonymous_group.as_deref(), &groups);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let rules = reader.rules(&clients, &anonymous, &roles, &content.defaults.acls());
    let users = clients.into_iter().map(|client| {
        let groups = [name_of(&client.roles).as_str()].into_iter().collect();
        (client.name.into(), User { groups, ..client.user })
    });
    let users = Users::of(file, UsersKind::Mosquitto, users);
    Ok(DynamicSecurity { users, rules, warnings: reader.warnings })
}

/// The file as it is written. What is in the lists is read one by one, to know where each begins.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    #[serde(default, rename = "defaultACLAccess")]
    defaults: Defaults,
    #[serde(default, borrow)]
    clients: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    groups: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    roles: Vec<&'a RawValue>,
    anonymous_group: Option<String>,
}

/// What is so where no role decides.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Defaults {
    publish_client_send: bool,
    publish_client_receive: bool,
    subscribe: bool,
}

#[derive(Deserialize)]
struct ClientEntry {
    username: String,
    password: Option<String>,
    salt: Option<String>,
    iterations: Option<u32>,
    /// How 2.1 writes all three.
    encoded_password: Option<String>,
    clientid: Option<String>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    roles: Vec<RoleEntry>,
}

#[derive(Deserialize)]
struct GroupEntry {
    groupname: String,
    #[serde(default)]
    roles: Vec<RoleEntry>,
    #[serde(default)]
    clients: Vec<MemberEntry>,
}

/// A role of a client or of a group.
#[derive(Deserialize)]
struct RoleEntry {
    rolename: String,
    #[serde(default = "unranked")]
    priority: i64,
}

/// A client of a group.
#[derive(Deserialize)]
struct MemberEntry {
    username: String,
    #[serde(default = "unranked")]
    priority: i64,
}

#[derive(Deserialize)]
struct RoleDefinition<'a> {
    rolename: String,
    #[serde(default, borrow)]
    acls: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct AclEntry {
    acltype: String,
    topic: String,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    allow: bool,
}

/// What an entry of a role says.
struct Acl {
    effect: Effect,
    actions: Actions,
    topics: TopicPattern,
    /// It comes before those that name many filters.
    is_literal: bool,
    priority: i64,
    text: Arc<str>,
    line: u32,
}

/// Roles by their names, with their entries in the order in which they decide.
type Roles = HashMap<String, Vec<Acl>>;

/// A group: its roles in their order, and who is in it, with the priority that the group has for them.
struct Group<'a> {
    name: String,
    roles: Vec<&'a str>,
    members: HashMap<String, i64>,
}

/// A client: its roles in the order in which they decide.
struct Client<'a> {
    name: String,
    user: User,
    roles: Vec<&'a str>,
}

struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    errors: Vec<FileError>,
    warnings: Vec<FileError>,
}

impl<'a> Reader<'a> {
    fn new(file: &str, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { file: file.into(), text, lines, errors: Vec::new(), warnings: Vec::new() }
    }

    fn roles(&mut self, list: &[&RawValue]) -> Roles {
        let mut roles = Roles::new();
        for raw in list {
            let Some(role) = self.entry::<RoleDefinition<'_>>(raw) else { continue };
            let mut acls: Vec<Acl> =
                role.acls.iter().filter_map(|raw| self.acl(&role.rolename, raw)).collect();
            acls.sort_by_key(|acl| (!acl.is_literal, Reverse(acl.priority)));
            if roles.contains_key(&role.rolename) {
                self.errors.push(self.error(raw, format!("the role {:?} is there twice", role.rolename)));
            }
            roles.insert(role.rolename, acls);
        }
        roles
    }

    fn acl(&mut self, role: &str, raw: &RawValue) -> Option<Acl> {
        let AclEntry { acltype, topic, priority, allow } = self.entry(raw)?;
        let filter: fn(&str) -> Result<TopicPattern, PatternError> = TopicPattern::filter;
        let (actions, compile) = match acltype.as_str() {
            "publishClientSend" => (Actions::PUBLISH, filter),
            "publishClientReceive" => (Actions::RECEIVE, filter),
            "subscribeLiteral" => (Actions::SUBSCRIPTION, TopicPattern::literal as _),
            // The plugin covers filters level by level, without the rule for `$` [MQTT-4.7.2-1].
            "subscribePattern" if topic == "#" => (Actions::SUBSCRIPTION, everything as _),
            "subscribePattern" => (Actions::SUBSCRIPTION, filter),
            "unsubscribeLiteral" | "unsubscribePattern" if allow => return None,
            "unsubscribeLiteral" | "unsubscribePattern" => {
                let problem = format!("{acltype} of role {role:?}: UNSUBSCRIBE is always granted here");
                self.warnings.push(self.error(raw, problem));
                return None;
            }
            other => {
                self.errors.push(self.error(raw, format!("{other:?} is no acltype that is understood")));
                return None;
            }
        };
        let topics = match compile(&topic) {
            Ok(topics) => topics,
            Err(error) => {
                self.errors.push(self.error(raw, format!("{topic:?}: {error}")));
                return None;
            }
        };
        let (effect, word) = if allow { (Effect::Allow, "allow") } else { (Effect::Deny, "deny") };
        let text = format!("{word} {acltype} {topic} (role {role:?}, priority {priority})").into();
        let (is_literal, line) = (acltype == "subscribeLiteral", self.line(raw));
        Some(Acl { effect, actions, topics, is_literal, priority, text, line })
    }

    fn groups<'r>(&mut self, list: &[&RawValue], roles: &'r Roles) -> Vec<Group<'r>> {
        let mut groups = Vec::new();
        for raw in list {
            let Some(GroupEntry { groupname: name, roles: named, clients }) = self.entry(raw) else {
                continue;
            };
            let members = clients.into_iter().map(|member| (member.username, member.priority)).collect();
            groups.push(Group { name, roles: self.in_order(named, roles, raw), members });
        }
        groups
    }

    fn clients<'r>(&mut self, list: &[&RawValue], roles: &'r Roles, groups: &[Group<'r>]) -> Vec<Client<'r>> {
        let mut clients: Vec<Client<'r>> = Vec::new();
        let mut lines = HashMap::new();
        for raw in list {
            let Some(mut entry) = self.entry::<ClientEntry>(raw) else { continue };
            if let Some(line) = lines.insert(entry.username.clone(), self.line(raw)) {
                self.errors
                    .push(self.error(raw, format!("{:?} stands in line {line} already", entry.username)));
            }
            let own = self.in_order(std::mem::take(&mut entry.roles), roles, raw);
            let user = User {
                hash: self.hash(&entry, raw).map(Arc::new),
                groups: std::iter::empty::<&str>().collect(),
                line: self.line(raw),
                is_disabled: entry.disabled,
                client_id: entry.clientid.map(Into::into),
            };
            let roles = with_groups(own, &entry.username, groups);
            clients.push(Client { name: entry.username, user, roles });
        }
        clients
    }

    /// The roles of clients without user name.
    fn anonymous<'r>(&mut self, group: Option<&str>, groups: &[Group<'r>]) -> Vec<&'r str> {
        let Some(name) = group else { return Vec::new() };
        match groups.iter().find(|group| group.name == name) {
            Some(group) => group.roles.clone(),
            None => {
                let problem = format!("the anonymousGroup {name:?} is not there");
                self.warnings.push(self.error_at(0, problem));
                Vec::new()
            }
        }
    }

    /// The roles that are there, by their priority.
    fn in_order<'r>(&mut self, mut named: Vec<RoleEntry>, roles: &'r Roles, raw: &RawValue) -> Vec<&'r str> {
        named.sort_by_key(|role| Reverse(role.priority));
        let mut order = Vec::new();
        for RoleEntry { rolename, .. } in named {
            match roles.get_key_value(&rolename) {
                Some((name, _)) => order.push(name.as_str()),
                None => self.warnings.push(self.error(raw, format!("the role {rolename:?} is not there"))),
            }
        }
        order
    }

    fn hash(&mut self, entry: &ClientEntry, raw: &RawValue) -> Option<PasswordHash> {
        let text = match entry {
            ClientEntry { encoded_password: Some(text), .. } => text.clone(),
            ClientEntry { password: Some(hash), salt: Some(salt), iterations: Some(iterations), .. } => {
                format!("$7${iterations}${salt}${hash}")
            }
            _ => return None,
        };
        PasswordHash::parse(&text).map_err(|error| self.errors.push(self.error(raw, error.to_string()))).ok()
    }

    /// All rules: those of each order of roles that a client has, and those of clients without user name.
    fn rules(
        &self,
        clients: &[Client<'_>],
        anonymous: &[&str],
        roles: &Roles,
        defaults: &[Acl],
    ) -> Vec<Rule> {
        let orders: BTreeMap<String, &[&str]> =
            clients.iter().map(|client| (name_of(&client.roles), &*client.roles)).collect();
        let of_clients = orders.into_iter().map(|(name, order)| {
            let groups = vec![NamePattern::Exact(name.into())];
            (order, Conditions { groups, ..Conditions::default() })
        });
        let nobody = Conditions { user: WhichUser::Anonymous, ..Conditions::default() };
        let mut rules = Vec::new();
        for (order, conditions) in of_clients.chain([(anonymous, nobody)]) {
            let acls = order.iter().filter_map(|role| roles.get(*role)).flatten().chain(defaults);
            rules.extend(acls.map(|acl| acl.rule(&self.file, &conditions)));
        }
        rules
    }

    /// An entry of a list; `None` if it is not understood.
    fn entry<'t, T: Deserialize<'t>>(&mut self, raw: &'t RawValue) -> Option<T> {
        serde_json::from_str(raw.get())
            .map_err(|error| {
                let error = self.json(self.offset(raw), &error);
                self.errors.push(error);
            })
            .ok()
    }

    /// A mistake in JSON that begins at this byte.
    fn json(&self, start: usize, error: &serde_json::Error) -> FileError {
        let text = error.to_string();
        let problem = text.split(" at line ").next().unwrap_or_default();
        let FileError { file, line, column, .. } = self.error_at(start, "");
        // Its lines and columns count from the start, the first column from where that stands in its line.
        let (lines, columns) = (error.line().max(1) - 1, error.column().max(1));
        let columns = if lines == 0 { column as usize - 1 + columns } else { columns };
        FileError {
            file,
            line: line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX)),
            column: u32::try_from(columns).unwrap_or(u32::MAX),
            problem: problem.into(),
        }
    }

    fn error(&self, raw: &RawValue, problem: impl Into<Box<str>>) -> FileError {
        self.error_at(self.offset(raw), problem)
    }

    fn error_at(&self, offset: usize, problem: impl Into<Box<str>>) -> FileError {
        let start = self.lines[self.line_index(offset)];
        let column = self.text[start..offset].chars().count() + 1;
        FileError {
            file: Arc::clone(&self.file),
            line: self.line_at(offset),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            problem: problem.into(),
        }
    }

    fn line(&self, raw: &RawValue) -> u32 {
        self.line_at(self.offset(raw))
    }

    fn line_at(&self, offset: usize) -> u32 {
        u32::try_from(self.line_index(offset) + 1).unwrap_or(u32::MAX)
    }

    fn line_index(&self, offset: usize) -> usize {
        // The first line begins at 0, so there is one.
        self.lines.partition_point(|start| *start <= offset) - 1
    }

    /// Where a part of the text begins.
    fn offset(&self, raw: &RawValue) -> usize {
        let offset = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if self.text.is_char_boundary(offset) { offset } else { 0 }
    }
}

impl Acl {
    fn rule(&self, file: &Arc<str>, conditions: &Conditions) -> Rule {
        Rule {
            effect: self.effect,
            actions: self.actions,
            qos: QosSet::ALL,
            topics: self.topics.clone(),
            conditions: conditions.clone(),
            text: Arc::clone(&self.text),
            file: Arc::clone(file),
            line: self.line,
        }
    }
}

impl Defaults {
    /// The entries behind those of all roles.
    fn acls(&self) -> Vec<Acl> {
        let all = [
            (self.publish_client_send, Actions::PUBLISH, "publishClientSend"),
            (self.publish_client_receive, Actions::RECEIVE, "publishClientReceive"),
            (self.subscribe, Actions::SUBSCRIPTION, "subscribe"),
        ];
        let allowed = all.into_iter().filter(|(is_allowed, ..)| *is_allowed);
        let acl = |(_, actions, name)| Acl {
            effect: Effect::Allow,
            actions,
            topics: TopicPattern::everything(),
            is_literal: false,
            priority: 0,
            text: format!("{name} by defaultACLAccess").into(),
            line: 0,
        };
        allowed.map(acl).collect()
    }
}

/// Own roles, then those of the groups that a client is in; a role counts where it stands first.
fn with_groups<'r>(own: Vec<&'r str>, client: &str, groups: &[Group<'r>]) -> Vec<&'r str> {
    let mut of_client: Vec<(i64, &Group<'r>)> =
        groups.iter().filter_map(|group| Some((*group.members.get(client)?, group))).collect();
    of_client.sort_by_key(|(priority, _)| Reverse(*priority));
    let mut order = own;
    for role in of_client.into_iter().flat_map(|(_, group)| &group.roles) {
        if !order.contains(role) {
            order.push(role);
        }
    }
    order
}

/// The name of the group of those who have these roles in this order. Quotes keep one list from looking like another.
fn name_of(roles: &[&str]) -> String {
    format!("roles {roles:?}")
}

fn everything(_: &str) -> Result<TopicPattern, PatternError> {
    Ok(TopicPattern::everything())
}

/// The priority of a role or a group that names none.
fn unranked() -> i64 {
    -1
}
