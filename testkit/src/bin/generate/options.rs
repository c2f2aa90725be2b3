//! What is asked for on the command line, with everything the user left out filled in.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use noctule_testkit::wire::LEVEL_3_1_1;
use serde::Serialize;

/// A payload carries the time it was sent and its publisher.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 12;

/// Drives a broker with messages and says how fast it was, how late, and at what cost.
#[derive(Parser)]
pub(crate) struct Options {
    /// Who receives what.
    pub(crate) shape: Shape,
    /// Where the broker listens.
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "ADDRESS")]
    pub(crate) connect: SocketAddr,
    /// Publishing connections, each with a topic of its own [default: 100, fan-out 1, fan-in 1000].
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Receiving connections [default: 100, fan-out 1000, fan-in 1].
    #[arg(long, value_name = "N")]
    subscribers: Option<usize>,
    /// QoS of publications and subscriptions.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) qos: u8,
    /// Messages each publisher has under way: sent and not yet acknowledged and delivered to everybody
    /// [default: 16, fan-out 8, fan-in 4].
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u16).range(1..))]
    window: Option<u16>,
    /// Size of a payload in bytes.
    #[arg(long, default_value_t = 16, value_name = "BYTES")]
    pub(crate) payload: usize,
    /// How long is measured.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How long the load runs before it is measured, in seconds.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warm_up: f64,
    /// Protocol version: 4 is 3.1.1, 5 is 5.0.
    #[arg(long, default_value_t = LEVEL_3_1_1, value_parser = clap::value_parser!(u8).range(4..=5))]
    pub(crate) level: u8,
    /// Process of the broker, to state what it used of the processor.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How publishers and subscribers are wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Each subscriber receives from one publisher.
    P2p,
    /// Every subscriber receives from every publisher; by default many from one.
    FanOut,
    /// The same; by default one from many.
    FanIn,
}

impl Options {
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.payload >= PAYLOAD_BYTES_MIN, "a payload has at least {PAYLOAD_BYTES_MIN} bytes");
        ensure!(self.publishers() > 0 && self.subscribers() > 0, "there is at least one on each side");
        let everybody_is_heard = self.shape != Shape::P2p || self.publishers() <= self.subscribers();
        ensure!(everybody_is_heard, "in p2p each publisher needs a subscriber");
        ensure!(self.seconds > 0.0 && self.warm_up >= 0.0, "time does not run backwards");
        Ok(())
    }

    pub(crate) fn publishers(&self) -> usize {
        self.publishers.unwrap_or(self.shape.publishers())
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers.unwrap_or(self.shape.subscribers())
    }

    pub(crate) fn window(&self) -> u16 {
        self.window.unwrap_or(self.shape.window())
    }

    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// The publishers a subscriber receives from.
    pub(crate) fn sources(&self, subscriber: usize) -> std::ops::Range<usize> {
        match self.shape {
            Shape::P2p => {
                let publisher = subscriber % self.publishers();
                publisher..publisher + 1
            }
            Shape::FanOut | Shape::FanIn => 0..self.publishers(),
        }
    }

    /// How many subscribers receive what a publisher sends.
    pub(crate) fn copies(&self, publisher: usize) -> u64 {
        let receivers =
            (0..self.subscribers()).filter(|&subscriber| self.sources(subscriber).contains(&publisher));
        receivers.count() as u64
    }
}

impl Shape {
    fn publishers(self) -> usize {
        match self {
            Self::P2p => 100,
            Self::FanOut => 1,
            Self::FanIn => 1000,
        }
    }

    fn subscribers(self) -> usize {
        match self {
            Self::P2p => 100,
            Self::FanOut => 1000,
            Self::FanIn => 1,
        }
    }

    fn window(self) -> u16 {
        match self {
            Self::P2p => 16,
            Self::FanOut => 8,
            Self::FanIn => 4,
        }
    }
}
