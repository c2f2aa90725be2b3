//! What other crates can see of `noctule-auth`, checked against models written down in a few lines.

mod admission;
mod dynamic_security;
mod explain;
mod mosquitto_acl;
mod passwords;
mod precedence;
mod rules_file;
mod unconfigured;
mod users_file;
mod words;
