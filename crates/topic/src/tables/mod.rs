//! What the filter index and the retained tree are built from.

mod arena;
mod levels;
mod small_map;
mod stripes;

pub(crate) use arena::{Arena, Slot};
pub(crate) use levels::{LevelId, Levels};
pub(crate) use small_map::SmallMap;
pub(crate) use stripes::{Hash32, Keyed, Seed, Stripes};
