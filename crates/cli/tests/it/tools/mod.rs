//! `noctule pub`, `sub` and `request`, linked as mosquitto's tools, beside Debian's own.

mod cases;
mod golden;
mod ours;
