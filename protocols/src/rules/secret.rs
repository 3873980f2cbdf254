//! Values that nobody is told: those whose name says that they are secrets; and what is told instead of others.

use sha2::{Digest as _, Sha256};

/// What stands for a secret.
pub(super) const HIDDEN: &str = "****";
/// Parts of names of secrets, in small letters, without anything between the words.
const PARTS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "privatekey",
    "signature",
    "cardnumber",
    "creditcard",
    "securitycode",
    "accesskey",
];
/// Whole names of secrets.
const NAMES: [&str; 11] = ["pwd", "pass", "pin", "otp", "cvv", "cvc", "cvv2", "ssn", "iban", "auth", "pan"];
/// Characters that a mask leaves, of how many at least.
const LEFT: usize = 4;
const LEFT_OF: usize = 12;
/// Bytes of a hash that are told.
const HASH: usize = 8;

/// Whether what is called so is a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    // (The last word of `user.pin` says what it is.)
    let last = name.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
    PARTS.iter().any(|part| plain.contains(part)) || NAMES.iter().any(|whole| plain == *whole || last == *whole)
}

/// The end of a value that is long enough for that.
pub(super) fn masked(value: &str) -> String {
    let count = value.chars().count();
    let left: String = if count < LEFT_OF { String::new() } else { value.chars().skip(count - LEFT).collect() };
    [HIDDEN, &left].concat()
}

/// The beginning of a value's SHA-256: the same everywhere.
pub(super) fn hashed(value: &str) -> String {
    Sha256::digest(value.as_bytes()).iter().take(HASH).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["password", "user.newPassword", "X-Api-Key", "access_token", "card.pin", "CVV", "Authorization"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["order.id", "shipping", "spinner", "author", "tenant", "passenger", "company"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_mask_leaves_little_and_a_hash_is_that_of_everybody() {
        assert_eq!((masked("4111111111111111").as_str(), masked("12345678").as_str()), ("****1111", "****"));
        assert_eq!(hashed("abc"), "ba7816bf8f01cfea");
    }
}
