//! `noctule pub`, `sub` and `request`, linked as mosquitto's tools, beside Debian's own; and the further tools.

mod cases;
mod golden;
mod live;
mod ours;
mod recording;
mod spying;
mod terminal;
