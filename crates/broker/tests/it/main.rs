//! The broker as its neighbours see it.

mod config;
