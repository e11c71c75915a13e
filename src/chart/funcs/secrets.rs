//! Passwords.

use super::Kind::Str;
use super::{Function, fixed};

pub(super) const ALL: &[Function] = &[
    fixed("bcrypt", &[Str], |c| Ok(bcrypt_text(&c.str(0)).into())),
    fixed("htpasswd", &[Str, Str], |c| {
        let user = c.str(0);
        Ok(if user.contains(':') { format!("invalid username: {user}") } else { format!("{user}:{}", bcrypt_text(&c.str(1))) }.into())
    }),
];

/// Go's bcrypt.DefaultCost.
const COST: u32 = 10;

/// sprig's `bcrypt`: what goes wrong is the text.
fn bcrypt_text(text: &str) -> String {
    if text.len() > 72 {
        return "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned();
    }
    match bcrypt::hash_with_result(text, COST) {
        Ok(parts) => parts.format_for_version(bcrypt::Version::TwoA),
        Err(e) => format!("failed to encrypt string with bcrypt: {e}"),
    }
}
