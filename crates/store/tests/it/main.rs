//! What a user of `noctule-store` can rely on.

mod crashes;
mod damage;
mod failures;
mod full;
mod journal;
mod ledger;
mod model;
mod support;
