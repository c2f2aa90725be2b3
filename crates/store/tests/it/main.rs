//! What a user of `noctule-store` can rely on.

mod crashes;
mod journal;
mod ledger;
mod support;
