//! What a value has to be, besides its form: not a placeholder, not what manuals show.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Captures;

/// What can be part of a token.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// What may be shown: which service it is of, and how long it is.
pub(super) fn masked(secret: &[u8], shown: usize) -> String {
    let head = secret.get(..shown).unwrap_or_default();
    format!("{}*** of {} characters", head.escape_ascii(), secret.len())
}

/// Which private key it is, and whether it is encrypted.
pub(super) fn label_of(label: &[u8], whole: &[u8]) -> String {
    let label = label.trim_ascii().escape_ascii().to_string();
    let head = &whole[..whole.len().min(400)];
    let has = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    let kind = match label.as_str() {
        "" => "PKCS #8".to_owned(),
        "ENCRYPTED" => "PKCS #8, encrypted".to_owned(),
        _ if has(b"Proc-Type: 4,ENCRYPTED") => format!("{label}, encrypted"),
        _ => label,
    };
    format!("{kind}, ***")
}

/// Whether a token has enough different characters, and does not say that it is an example.
pub(super) fn is_random(token: &[u8], shown: usize) -> bool {
    let body = token.get(shown..).unwrap_or_default();
    let mut seen = [false; 256];
    let mut different = 0;
    for &byte in body {
        different += usize::from(!std::mem::replace(&mut seen[usize::from(byte)], true));
    }
    let lower = body.to_ascii_lowercase();
    let says = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    different >= 8.min(body.len() / 2)
        && ![
            &b"example"[..],
            b"xxxx",
            b"0000000000",
            b"1234567890",
            b"abcdefgh",
            b"placeholder",
            b"your",
        ]
        .into_iter()
        .any(says)
}

/// Whether a value stands where a password would and is not one: `<password>`, `changeme`, `${VAR}`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    const WORDS: [&str; 36] = [
        "password",
        "passwd",
        "pass",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "changeme",
        "changeit",
        "change_me",
        "change-me",
        "example",
        "sample",
        "dummy",
        "test",
        "testing",
        "placeholder",
        "redacted",
        "none",
        "null",
        "true",
        "false",
        "foo",
        "bar",
        "foobar",
        "hunter2",
        "mypassword",
        "mypass",
        "pw",
        "user",
        "username",
        "todo",
        "secretpassword",
        "string",
        "value",
        "undefined",
    ];
    let Some(&first) = value.first() else {
        return true;
    };
    let lower = value.to_ascii_lowercase();
    let has = |text: &[u8]| lower.windows(text.len()).any(|window| window == text);
    matches!(
        first,
        b'$' | b'<' | b'%' | b'{' | b'[' | b'(' | b'*' | b'/' | b'@' | b'&' | b'#' | b'`'
    ) || value.iter().all(|&b| b == first)
        || value
            .iter()
            .all(|&b| matches!(b, b'*' | b'x' | b'X' | b'.' | b'_' | b'-'))
        || WORDS.iter().any(|word| word.as_bytes() == lower)
        || [
            &b"${"[..],
            b"$(",
            b"{{",
            b"%s",
            b"%v",
            b"your",
            b"example",
            b"xxxx",
            b"...",
            b"changeme",
            b"placeholder",
        ]
        .into_iter()
        .any(has)
}

/// Whether a word that ends here begins with two dashes, as options do.
pub(super) fn is_option(before: &[u8]) -> bool {
    let from = before
        .iter()
        .rposition(|b| !b.is_ascii_lowercase() && *b != b'-');
    before[from.map_or(0, |at| at + 1)..].starts_with(b"--")
}

/// Whether a URL may have `user:password@` before its host; the window begins with `://`.
pub(super) fn has_login(window: &[u8]) -> bool {
    let authority = window[3..].iter().take(200);
    let mut authority = authority
        .take_while(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'"' | b'\'' | b'<' | b'>'));
    authority.any(|&b| b == b':') && authority.any(|&b| b == b'@')
}

/// Whether the value of `--password=VALUE` is one that nobody writes in a manual: letters with digits.
pub(super) fn is_argument(value: &[u8]) -> bool {
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    letters >= 2
        && digits >= 1
        && !is_placeholder(value)
        && !value.contains(&b'$')
        && !value.contains(&b'(')
}

/// Whether it is `user:password` in Base64.
pub(super) fn is_login(value: &[u8]) -> bool {
    let bare = value
        .strip_suffix(b"==")
        .or_else(|| value.strip_suffix(b"="))
        .unwrap_or(value);
    let Ok(login) = STANDARD_NO_PAD.decode(bare) else {
        return false;
    };
    let Some(colon) = login.iter().position(|&b| b == b':') else {
        return false;
    };
    let is_text = login.iter().all(|&b| b == b' ' || b.is_ascii_graphic());
    is_text && colon > 0 && !is_placeholder(&login[colon + 1..])
}

/// Whether the claims are those of the token that manuals and jwt.io show.
pub(super) fn is_jwt_of_a_manual(claims: &[u8]) -> bool {
    let Ok(claims) = URL_SAFE_NO_PAD.decode(claims) else {
        // Not JSON, so not a token.
        return true;
    };
    let has = |text: &[u8]| claims.windows(text.len()).any(|window| window == text);
    !claims.starts_with(b"{") || has(b"1234567890") || has(b"John Doe") || has(b"example")
}

/// Whether a URL has a password: `scheme://user:password@host`.
pub(super) fn is_url(before: &[u8], password: &[u8], found: &Captures<'_>) -> bool {
    let from = before
        .iter()
        .rposition(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-')));
    let scheme = &before[from.map_or(0, |at| at + 1)..];
    let host = found
        .get(2)
        .map_or(&b""[..], |host| host.as_bytes())
        .to_ascii_lowercase();
    let is_of_a_manual = host.starts_with(b"example")
        || [
            &b".example"[..],
            b".example.com",
            b".example.org",
            b".example.net",
            b".test",
            b".invalid",
        ]
        .into_iter()
        .any(|end| host.ends_with(end))
        || [
            &b"host"[..],
            b"hostname",
            b"www.bogus.net",
            b"server",
            b"domain.com",
            b"myserver",
            b"some.host",
            b"proxy",
        ]
        .contains(&&host[..]);
    scheme.len() >= 2
        && scheme[0].is_ascii_alphabetic()
        && !is_of_a_manual
        && !is_placeholder(password)
        && !password.iter().all(u8::is_ascii_digit)
}
