//! The `noctule` binary as a user runs it.

mod config;
mod serve;
mod support;
mod usage;
