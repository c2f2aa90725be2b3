//! What a user of `noctule-store` can rely on.

mod copies;
mod crashes;
mod damage;
mod directory;
mod failures;
mod full;
mod index;
mod journal;
mod ledger;
mod model;
mod moving;
mod support;
mod threads;
