//! Shard.
