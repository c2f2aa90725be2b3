//! Passwords that are hashed anew: one that was made by mosquitto, or with less work than ours, becomes Argon2id in our
//! own file of users as soon as it is known, which is when its user comes in.

use super::secrets::{change_secret, random_bytes};
use noctule_auth::admission::Upgrade;
use noctule_auth::users::replace_hash;
use std::io;
use std::path::Path;

/// Hashes a password anew and puts the hash where the old one was. Says whether that was still there.
pub(super) fn renew(upgrade: Upgrade) -> io::Result<bool> {
    let (user, file, old) = (upgrade.user.clone(), upgrade.file.clone(), upgrade.old.clone());
    let new = upgrade.run(random_bytes()?);
    change_secret(Path::new(&*file), |text| Ok(replace_hash(text, &user, &old, &new)))
}
