//! Properties of the codec over generated packets and bytes.

mod deliveries;
mod fragments;
mod generate;
mod hostile;
mod round_trip;
mod support;
