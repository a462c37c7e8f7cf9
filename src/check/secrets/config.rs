//! What looks like a secret in the config: in the environment, the labels, what is run, and the build
//! steps.
//!
//! A value is suspected because of its name (`DB_PASSWORD=…`), or because of its shape (the
//! tokens of well-known services say what they are). That is a guess; a list of names and shapes finds
//! the common accidents.

use std::fmt;

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
pub(super) const TEXT_LIMIT: usize = 256 << 10;

/// Where a config has something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigPlace {
    /// An environment variable, by its name.
    Env(String),
    /// A label, by its key.
    Label(String),
    /// What is run: `CMD`, `ENTRYPOINT`, `HEALTHCHECK` or `SHELL`.
    Command(&'static str),
    /// An `ONBUILD` instruction, by its number from 0.
    OnBuild(usize),
    /// The `author` or the `comment`.
    Text(&'static str),
    /// A build step, by its number from 0, oldest first. Build arguments are part of it.
    Step(usize),
}

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Label(key) => write!(f, "label {key}"),
            Self::Command(name) | Self::Text(name) => f.write_str(name),
            Self::OnBuild(number) => write!(f, "ONBUILD instruction {number}"),
            Self::Step(number) => write!(f, "build step {number}"),
        }
    }
}

/// Something in a config that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSecret {
    /// Where it is.
    pub place: ConfigPlace,
    /// Why it is suspected.
    pub why: String,
    /// The part of it that may be shown.
    pub masked: String,
}

impl fmt::Display for ConfigSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.place, self.why, self.masked)
    }
}

/// Everything in the config of an image that looks like a secret.
pub fn in_config(image: &Image) -> Vec<ConfigSecret> {
    let Some(view) = image.view() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut add = |place: ConfigPlace, Suspicion { why, masked, .. }: Suspicion<'_>| {
        found.push(ConfigSecret { place, why, masked });
    };
    for variable in &view.run.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        if let Some(what) = suspect(name, value) {
            add(ConfigPlace::Env(name.to_owned()), what);
        }
    }
    for (key, value) in &view.run.labels {
        if let Some(what) = suspect(key, value) {
            add(ConfigPlace::Label(key.clone()), what);
        }
    }
    let run = &view.run;
    let commands = [
        ("CMD", run.cmd.as_deref()),
        ("ENTRYPOINT", run.entrypoint.as_deref()),
        (
            "HEALTHCHECK",
            run.healthcheck.as_ref().map(|health| &health.test[..]),
        ),
        ("SHELL", run.shell.as_deref()),
    ];
    for (name, arguments) in commands {
        for what in in_arguments(arguments.unwrap_or_default()) {
            add(ConfigPlace::Command(name), what);
        }
    }
    for (number, text) in run.on_build.iter().enumerate() {
        for what in in_text(text) {
            add(ConfigPlace::OnBuild(number), what);
        }
    }
    for (name, text) in [("author", &view.author), ("comment", &view.comment)] {
        for what in in_text(text) {
            add(ConfigPlace::Text(name), what);
        }
    }
    for (step, entry) in view.history.iter().enumerate() {
        for text in [&entry.created_by, &entry.comment, &entry.author] {
            for what in in_text(text) {
                add(ConfigPlace::Step(step), what);
            }
        }
    }
    found
}

/// Why a value is suspected, and what may be shown of it.
#[derive(Debug)]
pub(super) struct Suspicion<'t> {
    why: String,
    masked: String,
    /// Where it stands in the text.
    pub(super) secret: &'t str,
    /// How many bytes at its beginning may be shown.
    pub(super) shown: usize,
}

impl<'t> Suspicion<'t> {
    fn new(why: String, secret: &'t str, shown: usize) -> Self {
        Self {
            why,
            masked: masked(secret, shown),
            secret,
            shown,
        }
    }

    fn by_name(value: &'t str) -> Self {
        Self::new("its name says that it is a secret".to_owned(), value, 0)
    }
}

#[cfg(test)]
impl fmt::Display for Suspicion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.why, self.masked)
    }
}

/// Whether a value is a secret because of its name, as in a file of `NAME=VALUE` lines.
pub(super) fn is_named_secret(name: &str, value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', ' ']);
    is_secret_name(name) && is_value(value)
}

/// Looks at a value under a name.
pub(super) fn suspect<'t>(name: &str, value: &'t str) -> Option<Suspicion<'t>> {
    let value = value.trim_matches(['"', '\'', ' ']);
    shape(value).or_else(|| {
        let suspicious = is_secret_name(name) && is_value(value);
        suspicious.then(|| Suspicion::by_name(value))
    })
}

/// Looks at the arguments of a command; one with blanks in it may itself be a command line.
pub(super) fn in_arguments(arguments: &[String]) -> Vec<Suspicion<'_>> {
    let words: Vec<&str> = arguments
        .iter()
        .map(|argument| within_limit(argument))
        .collect();
    let mut found = in_words(&words);
    for argument in words
        .into_iter()
        .filter(|argument| argument.contains(BLANKS))
    {
        found.extend(in_text(argument));
    }
    found
}

/// What stands between the words of a command line.
const BLANKS: [char; 11] = [
    ' ', '\t', '\n', '\r', '\u{b}', '\u{c}', ';', '&', '|', '(', ')',
];

/// Looks at a command line, word by word.
pub(super) fn in_text(text: &str) -> Vec<Suspicion<'_>> {
    let words = within_limit(text).split(BLANKS);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    in_words(&words)
}

pub(super) fn within_limit(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_LIMIT))
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    &text[..end]
}

/// Looks at words of the form `NAME=VALUE`, at those behind an option that says what they are, and at
/// every shape anywhere.
fn in_words<'t>(words: &[&'t str]) -> Vec<Suspicion<'t>> {
    let mut found = Vec::new();
    let mut sends_requests = false;
    for (at, word) in words.iter().enumerate() {
        sends_requests |= word.rsplit('/').next() == Some("curl");
        let before = |n: usize| at.checked_sub(n).map_or("", |at| words[at]);
        let what = match word.split_once('=') {
            // A command line among arguments is looked at on its own.
            Some(_) if word.contains(BLANKS) => None,
            Some((name, value)) => suspect(bare(name), value).or_else(|| shape(word)),
            None if word.contains(BLANKS) && !names_next(before(2), before(1)) => None,
            None => shape(word).or_else(|| {
                let secret = bare(word);
                if names_next(before(2), before(1)) && !word.starts_with('-') && is_value(secret) {
                    return Some(Suspicion::by_name(secret));
                }
                let is_login = sends_requests && LOGINS.contains(&before(1));
                let password = secret.split_once(':').filter(|_| is_login)?.1;
                is_secret(password).then(|| Suspicion::new("it is a login".to_owned(), password, 0))
            }),
        };
        found.extend(what);
    }
    found
}

/// The options of curl before `user:password`.
const LOGINS: [&str; 4] = ["-u", "--user", "-U", "--proxy-user"];

/// Whether the words before one say that it is a secret: `--password SECRET`, `ENV TOKEN SECRET`,
/// `Authorization: Bearer SECRET`.
fn names_next(before: &str, last: &str) -> bool {
    let is_instruction = ["env", "arg"]
        .iter()
        .any(|name| before.eq_ignore_ascii_case(name));
    let is_header = bare(before)
        .to_ascii_lowercase()
        .ends_with("authorization:");
    let named =
        (last.starts_with("--") && !last.contains('=') || is_instruction) && is_secret_name(last);
    named
        || is_header
            && ["basic", "bearer", "token"]
                .iter()
                .any(|scheme| last.eq_ignore_ascii_case(scheme))
}

/// Without quotes around it and dashes before it.
fn bare(word: &str) -> &str {
    word.trim_matches(['"', '\'']).trim_start_matches('-')
}

/// A known token, a private key, a signed token, or a password in a URL.
fn shape(value: &str) -> Option<Suspicion<'_>> {
    fn told<'t>(why: &str, secret: &'t str, shown: usize) -> Suspicion<'t> {
        Suspicion::new(format!("it looks like a {why}"), secret, shown)
    }
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (prefix, at_least, why) in SHAPES {
        for (at, _) in value.match_indices(prefix) {
            if value[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let rest = &value[at + prefix.len()..];
            let len = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
            if len >= at_least {
                return Some(told(why, &value[at..at + prefix.len() + len], prefix.len()));
            }
        }
    }
    if value.contains("PRIVATE KEY-----") {
        return Some(told("private key", value, 0));
    }
    let mut parts = value.split('.');
    if let (Some(head), Some(claims), Some(_)) = (parts.next(), parts.next(), parts.next())
        && head.starts_with("eyJ")
        && claims.starts_with("eyJ")
    {
        return Some(told("signed token (JWT)", value, 3));
    }
    // scheme://user:password@host, however short.
    value.match_indices("://").find_map(|(at, mark)| {
        let rest = &value[at + mark.len()..];
        let is_end = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | ',') || c.is_whitespace();
        let authority = rest.split(is_end).next().unwrap_or(rest);
        let (login, _) = authority.rsplit_once('@')?;
        let (_, password) = login.split_once(':')?;
        is_secret(password).then(|| told("URL with a password", password, 0))
    })
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
    // `PGPASSWORD` has no word of its own for it.
    let is_glued = |word: &str| {
        !word.starts_with("no") && (word.ends_with("password") || word.ends_with("passwd"))
    };
    words
        .iter()
        .any(|word| WORDS.contains(&word.as_str()) || is_glued(word))
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

/// Whether it can be a secret at all: not empty, no reference to something else, not masked already.
fn is_secret(value: &str) -> bool {
    !value.is_empty()
        && !value.starts_with(['$', '/', '<', '%', '{', '['])
        && !value.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '.'))
}

/// Whether it can be a secret under a name that suggests one: not a switch, not a small number.
fn is_value(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    value.len() >= 2
        && is_secret(value)
        && !(value.len() < 3 && value.bytes().all(|b| b.is_ascii_digit()))
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "true"
                | "false"
                | "yes"
                | "no"
                | "on"
                | "off"
                | "ok"
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
            "PGPASSWORD",
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
            "NOPASSWD",
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
            ("X", "redis://u:pw@h"),
            ("X", "amqp://a,amqp://:qz@b/?x=1"),
            ("DB_PASSWORD", "qz"),
        ] {
            let text = suspect(name, value).expect(value).to_string();
            for secret in ["hunter2", "IOSF", "correct", "hbGci", "c2lnb", "pw", "qz"] {
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
            ("X", "redis://u:$PW@h"),
            ("X", "redis://u:${PW}@h"),
            ("X", "redis://u:***@h"),
            ("X", "redis://u:<password>@h"),
            ("X", "redis://u@h"),
            ("X", "redis://h:6379/a@b"),
            ("X", "http://[::1]:80/@x"),
            ("USE_PASSWORD", "on"),
            ("PASS", "1"),
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

    #[test]
    fn words_say_that_the_next_one_is_a_secret() {
        let arguments = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let found = in_arguments(&words);
            for what in &found {
                assert!(!what.to_string().contains("zz"), "{what}");
            }
            found.len()
        };
        for words in [
            &["app", "--password", "zzpw"][..],
            &["app", "--password=zzpw"],
            &["app", "--db-password", "zz"],
            &["app", "--api-key", "'zz pw'"],
            &["sh", "-c", "app --token zz1234"],
            &["sh", "-c", "exec app postgres://u:zz@h/db"],
            &["app", "postgres://u:zz@h/db"],
            &["curl", "-u", "me:zz", "http://h"],
            &["/usr/bin/curl", "--user", "me:zzz", "http://h"],
            &["curl", "-H", "Authorization: Bearer zz1234567", "http://h"],
            &[
                "sh",
                "-c",
                "curl -H 'Authorization: Basic zz1234567' http://h",
            ],
            &["CMD-SHELL", "PGPASSWORD=zzgeheim psql || exit 1"],
        ] {
            assert_eq!(arguments(words), 1, "{words:?}");
        }
        for words in [
            &["app", "--password", "$PASSWORD"][..],
            &["app", "--password", "--verbose"],
            &["app", "--password"],
            &["app", "--password-file", "/run/secret"],
            &["app", "--user", "1000:1000"],
            &["app", "-u", "me:group"],
            &["nginx", "-g", "daemon off;"],
            &["sh", "-c", "test -n \"$TOKEN\" && exec app"],
        ] {
            assert_eq!(arguments(words), 0, "{words:?}");
        }
        assert_eq!(in_text("ENV DB_PASSWORD geheim").len(), 1);
        assert_eq!(in_text("ENV DB_PASSWORD_FILE geheim").len(), 0);
    }
}
