//! `noctule pub`, `sub` and `request`, linked as mosquitto's tools, beside Debian's own; and the further tools.

mod cases;
mod completing;
mod golden;
mod live;
mod ours;
mod pages;
mod recording;
mod socks;
mod spying;
mod terminal;
