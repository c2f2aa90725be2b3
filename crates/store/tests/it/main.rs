//! What a user of `noctule-store` can rely on.

mod journal;
mod support;
