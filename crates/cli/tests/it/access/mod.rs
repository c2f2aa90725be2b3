//! Who may come in and what they may do, on the real binary.

mod explain;
mod guessing;
mod lan;
mod matrix;
mod mosquitto;
mod mosquitto_passwd;
mod passwd;
