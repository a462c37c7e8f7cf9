//! What looks like a secret in the environment, the labels and the build steps.
//!
//! A value is suspected for the name that it stands under (`DB_PASSWORD=…`), or for its own shape (the
//! tokens of well-known services say what they are). Nobody can know; a list of names and shapes finds
//! the ordinary accidents.

use super::{AuditKind, Collected, Finding};
use crate::image::Image;

/// Words of a name that make its value suspicious.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "privatekey",
    "accesskey",
];
/// Two words in a row that do.
const PAIRS: [[&str; 2]; 5] = [
    ["api", "key"],
    ["access", "key"],
    ["private", "key"],
    ["secret", "key"],
    ["encryption", "key"],
];
/// Last words that say that the value is something about the secret, not the secret.
const HARMLESS: [&str; 12] = [
    "file", "path", "dir", "url", "uri", "endpoint", "name", "id", "length", "ttl", "expiry",
    "type",
];

/// How tokens of a service begin, and how many letters, digits, `-` and `_` follow at least.
const SHAPES: [(&str, usize, &str); 16] = [
    ("AKIA", 16, "AWS access key"),
    ("ASIA", 16, "AWS temporary access key"),
    ("ghp_", 36, "GitHub token"),
    ("gho_", 36, "GitHub token"),
    ("ghu_", 36, "GitHub token"),
    ("ghs_", 36, "GitHub token"),
    ("ghr_", 36, "GitHub token"),
    ("github_pat_", 22, "GitHub token"),
    ("glpat-", 20, "GitLab token"),
    ("xoxb-", 20, "Slack token"),
    ("xoxp-", 20, "Slack token"),
    ("sk_live_", 20, "Stripe key"),
    ("AIza", 35, "Google API key"),
    ("npm_", 36, "npm token"),
    ("dckr_pat_", 20, "Docker Hub token"),
    ("SG.", 40, "SendGrid key"),
];

/// How much of one text is looked at, in bytes.
const TEXT_LIMIT: usize = 256 << 10;

pub(super) fn check(image: &Image, found: &mut Collected) {
    let Some(view) = image.view() else { return };
    let mut add = |whence: String, what: Suspicion| {
        found.add(Finding {
            kind: AuditKind::Secret,
            path: None,
            layer: None,
            detail: format!("{whence}: {what}"),
        });
    };
    for variable in &view.run.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        if let Some(what) = suspect(name, value) {
            add(format!("environment variable {name}"), what);
        }
    }
    for (key, value) in &view.run.labels {
        if let Some(what) = suspect(key, value) {
            add(format!("label {key}"), what);
        }
    }
    for (step, entry) in view.history.iter().enumerate() {
        for text in [&entry.created_by, &entry.comment] {
            for what in in_text(text) {
                add(format!("build step {step}"), what);
            }
        }
    }
}

/// Why a value is suspected, and what may be shown of it.
struct Suspicion {
    why: String,
    masked: String,
}

impl std::fmt::Display for Suspicion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.why, self.masked)
    }
}

/// Looks at a value under a name.
fn suspect(name: &str, value: &str) -> Option<Suspicion> {
    let value = value.trim_matches(['"', '\'', ' ']);
    shape(value).or_else(|| {
        let suspicious = is_secret_name(name) && is_value(value);
        suspicious.then(|| Suspicion {
            why: "its name says that it is a secret".to_owned(),
            masked: masked(value, 0),
        })
    })
}

/// Looks at a command line: each word of the form `NAME=VALUE`, and every shape anywhere.
fn in_text(text: &str) -> Vec<Suspicion> {
    let end = (0..=text.len().min(TEXT_LIMIT))
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    let blank = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')');
    let words = text[..end].split(blank).filter(|word| !word.is_empty());
    words
        .filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            suspect(name.trim_start_matches('-'), value).or_else(|| shape(word))
        })
        .chain(
            text[..end]
                .split(blank)
                .filter(|word| !word.contains('='))
                .filter_map(shape),
        )
        .collect()
}

/// A known token, a private key, a signed token, or a password in a URL.
fn shape(value: &str) -> Option<Suspicion> {
    let told = |why: &str, secret: &str, shown: usize| {
        Some(Suspicion {
            why: format!("it looks like a {why}"),
            masked: masked(secret, shown),
        })
    };
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (prefix, at_least, why) in SHAPES {
        for (at, _) in value.match_indices(prefix) {
            if value[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let rest = &value[at + prefix.len()..];
            let len = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
            if len >= at_least {
                return told(why, &value[at..at + prefix.len() + len], prefix.len());
            }
        }
    }
    if value.contains("PRIVATE KEY-----") {
        return told("private key", value, 0);
    }
    let mut parts = value.split('.');
    if let (Some(head), Some(claims), Some(_)) = (parts.next(), parts.next(), parts.next())
        && head.starts_with("eyJ")
        && claims.starts_with("eyJ")
    {
        return told("signed token (JWT)", value, 3);
    }
    // scheme://user:password@host
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let (login, _) = authority.rsplit_once('@')?;
    let (_, password) = login.split_once(':')?;
    if !is_value(password) {
        return None;
    }
    told("URL with a password", password, 0)
}

/// Whether the words of a name speak of a secret: `DB_PASSWORD`, `dbPassword`, `com.example.api-key`.
fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    if words
        .last()
        .is_some_and(|last| HARMLESS.contains(&last.as_str()))
    {
        return false;
    }
    words.iter().any(|word| WORDS.contains(&word.as_str()))
        || words
            .windows(2)
            .any(|pair| PAIRS.iter().any(|known| pair == known))
}

fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_ascii_lowercase();
        if let Some(word) = words.last_mut()
            && c.is_ascii_alphanumeric()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether it can be a secret at all: not empty, no switch, no reference to something else.
fn is_value(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    value.len() >= 3
        && !value.starts_with(['$', '/', '<', '%', '{'])
        && !value.chars().all(|c| c == '*' || c == 'x')
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "true"
                | "false"
                | "yes"
                | "none"
                | "null"
                | "required"
                | "optional"
                | "disabled"
                | "enabled"
        )
}

/// Shows what says which service it is, and how long the rest is.
fn masked(secret: &str, shown: usize) -> String {
    let head = secret.get(..shown).unwrap_or_default();
    let rest = secret.chars().count() - head.chars().count();
    format!("{head}*** of {} characters", rest + head.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "DB_PASSWORD",
            "dbPassword",
            "API_KEY",
            "com.example.api-key",
            "SECRET",
            "AWS_SECRET_ACCESS_KEY",
            "github.token",
            "SSH_PRIVATE_KEY",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "GPG_KEY",
            "PASSWORD_FILE",
            "TOKEN_URL",
            "COMPASS",
            "KEYRING",
            "SECRET_NAME",
            "BYPASS_X",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let aws = format!("AKIA{}", "IOSFODNN7EXAMPLE");
        for (name, value) in [
            ("DB_PASSWORD", "hunter2!"),
            ("X", aws.as_str()),
            ("X", "https://me:correcthorse@example.com/x"),
            ("X", "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"),
        ] {
            let text = suspect(name, value).expect(value).to_string();
            for secret in ["hunter2", "IOSF", "correct", "hbGci", "c2lnb"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }

    #[test]
    fn ordinary_values_are_no_secrets() {
        for (name, value) in [
            ("DB_PASSWORD", ""),
            ("DB_PASSWORD", "$DB_PASSWORD"),
            ("SECRET", "/run/secrets/x"),
            ("ALLOW_EMPTY_PASSWORD", "yes"),
            ("URL", "https://example.com/a:b@c"),
            ("GPG_KEY", "E3FF2839C048B25C084DEBE9B26995E310250568"),
            ("X", "AKIA"),
            ("LC_ALL", "C.UTF-8"),
        ] {
            assert!(suspect(name, value).is_none(), "{name}={value}");
        }
    }

    #[test]
    fn build_steps_are_read_word_by_word() {
        let found = in_text(
            "/bin/sh -c curl --token=abcdef123 https://u:geheim@h/ && export NPM_TOKEN='zzzz'; ls",
        );
        assert_eq!(found.len(), 3);
        assert!(in_text("/bin/sh -c #(nop)  CMD [\"sh\"]").is_empty());
    }
}
