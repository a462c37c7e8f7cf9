//! Every rule, with what it is made for and with what only looks like that. Values are put together here, so that
//! nobody who searches this repository for secrets finds them.

use std::ops::ControlFlow;

use super::kind::SecretKind;
use super::rules::SecretRules;

/// Characters without a pattern.
fn noise(len: usize, alphabet: &str) -> String {
    let alphabet = alphabet.as_bytes();
    let mut state = 12_345_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(alphabet[(state >> 16) as usize % alphabet.len()])
    };
    (0..len).map(letter).collect()
}

const WORD: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HEX: &str = "0123456789abcdef";

fn found(text: &str) -> Vec<SecretKind> {
    let mut kinds = Vec::new();
    let text = text.as_bytes();
    SecretRules::get().search(text, 0, text.len(), &mut |hit| {
        kinds.push(hit.kind);
        ControlFlow::Continue(())
    });
    kinds
}

fn finds(kind: SecretKind, text: &str) {
    assert_eq!(found(text), [kind], "{text}");
}

fn finds_nothing(text: &str) {
    assert_eq!(found(text), [], "{text}");
}

fn pem(label: &str, head: &str, lines: usize) -> String {
    let body = format!("{}\n", noise(64, WORD)).repeat(lines);
    format!("-----BEGIN {label}-----\n{head}{body}-----END {label}-----\n")
}

#[test]
fn private_keys() {
    for label in [
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ] {
        finds(SecretKind::PrivateKey, &pem(label, "", 12));
        finds(
            SecretKind::PrivateKey,
            &pem(label, "", 12).replace('\n', "\r\n"),
        );
        // In JSON.
        finds(
            SecretKind::PrivateKey,
            &pem(label, "", 12).replace('\n', "\\n"),
        );
    }
    finds(
        SecretKind::PrivateKey,
        &pem(
            "RSA PRIVATE KEY",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
            12,
        ),
    );
    finds(
        SecretKind::PrivateKey,
        &pem("PGP PRIVATE KEY BLOCK", "Version: GnuPG v2\n\n", 12),
    );
    finds_nothing(&pem("PUBLIC KEY", "", 12));
    finds_nothing(&pem("CERTIFICATE", "", 12));
    // What programs hold to compare with, and what manuals show.
    finds_nothing("-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----");
    finds_nothing("-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n");
    finds_nothing("-----BEGIN PRIVATE KEY-----\n<your key>\n-----END PRIVATE KEY-----\n");
    let putty = |tail: &str| {
        format!(
            "PuTTY-User-Key-File-2: ssh-rsa\r\nEncryption: none\r\nComment: x\r\nPublic-Lines: 1\r\n{}\r\n{tail}",
            noise(64, WORD)
        )
    };
    finds(
        SecretKind::PuttyKey,
        &putty(&format!("Private-Lines: 1\r\n{}\r\n", noise(64, WORD))),
    );
    finds_nothing(&putty(""));
    let age = noise(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L");
    finds(SecretKind::AgeKey, &format!("AGE-SECRET-KEY-1{age}"));
}

/// A token of each kind.
fn tokens_of_services() -> Vec<(SecretKind, String)> {
    let base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = noise(12, "123456789");
    vec![
        (
            SecretKind::AwsAccessKey,
            format!("AKIA{}", noise(16, base32)),
        ),
        (
            SecretKind::AwsAccessKey,
            format!("ASIA{}", noise(16, base32)),
        ),
        (SecretKind::GoogleApiKey, format!("AIza{}", noise(35, WORD))),
        (
            SecretKind::GoogleOauthSecret,
            format!("GOCSPX-{}", noise(28, WORD)),
        ),
        (SecretKind::GithubToken, format!("ghp_{}", noise(36, WORD))),
        (SecretKind::GithubToken, format!("ghs_{}", noise(36, WORD))),
        (
            SecretKind::GithubToken,
            format!("github_pat_{}_{}", noise(22, WORD), noise(59, WORD)),
        ),
        (
            SecretKind::GitlabToken,
            format!("glpat-{}", noise(20, WORD)),
        ),
        (
            SecretKind::SlackToken,
            format!("xoxb-{digits}-{digits}-{}", noise(24, WORD)),
        ),
        (
            SecretKind::SlackToken,
            format!(
                "xapp-1-A{}-{digits}-{}",
                noise(10, "BCDEF23"),
                noise(64, HEX)
            ),
        ),
        (
            SecretKind::SlackWebhook,
            format!(
                "hooks.slack.com/services/T{0}/B{0}/{1}",
                noise(9, "ABC123"),
                noise(24, WORD)
            ),
        ),
        (SecretKind::NpmToken, format!("npm_{}", noise(36, WORD))),
        (
            SecretKind::PypiToken,
            format!("pypi-AgEIcHlwaS5vcmc{}", noise(80, WORD)),
        ),
    ]
}

/// The same of other services.
fn tokens_of_more_services() -> Vec<(SecretKind, String)> {
    vec![
        (
            SecretKind::RubygemsKey,
            format!("rubygems_{}", noise(48, HEX)),
        ),
        (
            SecretKind::DockerToken,
            format!("dckr_pat_{}", noise(27, WORD)),
        ),
        (
            SecretKind::StripeKey,
            format!("sk_live_{}", noise(24, WORD)),
        ),
        (
            SecretKind::SendgridKey,
            format!("SG.{}.{}", noise(22, WORD), noise(43, WORD)),
        ),
        (SecretKind::VaultToken, format!("hvs.{}", noise(95, WORD))),
        (
            SecretKind::DigitaloceanToken,
            format!("dop_v1_{}", noise(64, HEX)),
        ),
        (
            SecretKind::ShopifyToken,
            format!("shpat_{}", noise(32, HEX)),
        ),
        (
            SecretKind::AiKey,
            format!("sk-ant-api03-{}", noise(95, WORD)),
        ),
        (
            SecretKind::AiKey,
            format!("sk-{}T3BlbkFJ{}", noise(20, WORD), noise(20, WORD)),
        ),
        (
            SecretKind::HuggingfaceToken,
            format!("hf_{}", noise(34, &WORD[..52])),
        ),
        (
            SecretKind::GrafanaToken,
            format!("glsa_{}_{}", noise(32, WORD), noise(8, HEX)),
        ),
        (
            SecretKind::AtlassianToken,
            format!("ATATT3xFfGF0{}", noise(180, WORD)),
        ),
        (
            SecretKind::TailscaleKey,
            format!("tskey-auth-{}-{}", noise(16, WORD), noise(32, WORD)),
        ),
    ]
}

#[test]
fn tokens() {
    let more = tokens_of_more_services();
    for (kind, token) in tokens_of_services().into_iter().chain(more) {
        finds(kind, &token);
        finds(kind, &format!("token = \"{token}\"\n"));
        if !token.contains("T3Blbk") {
            // Part of a longer word, cut short, or always the same.
            finds_nothing(&format!("x{token}"));
            finds_nothing(&token[..token.len() * 2 / 3 - 1]);
            let shown = token.find(['-', '_']).map_or(4, |at| at + 1);
            finds_nothing(&format!(
                "{}{}",
                &token[..shown],
                "a".repeat(token.len() - shown)
            ));
        }
    }
    finds_nothing(&format!("AKIA{}", "IOSFODNN7EXAMPLE"));
    finds_nothing(&format!("ghp_{}", "x".repeat(36)));
    finds_nothing(&format!("sk_test_{}", noise(24, WORD)));
}

#[test]
fn values_of_keys() {
    let secret = noise(40, WORD);
    finds(
        SecretKind::AwsSecretKey,
        &format!("aws_secret_access_key = {secret}\n"),
    );
    finds(
        SecretKind::AwsSecretKey,
        &format!("export AWS_SECRET_ACCESS_KEY='{secret}'\n"),
    );
    finds(
        SecretKind::AwsSecretKey,
        &format!("\"SecretAccessKey\": \"{secret}\""),
    );
    finds_nothing("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");
    finds_nothing("aws_secret_access_key = ${AWS_SECRET_ACCESS_KEY}\n");
    finds(
        SecretKind::AzureStorageKey,
        &format!("AccountName=a;AccountKey={}==;", noise(86, WORD)),
    );
    finds(
        SecretKind::GcpServiceAccount,
        &format!("\"private_key_id\": \"{}\",", noise(40, HEX)),
    );
    finds_nothing("\"private_key_id\": \"<id>\",");
    finds(
        SecretKind::NpmToken,
        &format!("//registry.npmjs.org/:_authToken={}\n", noise(36, HEX)),
    );
    finds_nothing("//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n");
    // bob:geheim7
    finds(
        SecretKind::DockerAuth,
        "{\"auths\":{\"r.io\":{\"auth\": \"Ym9iOmdlaGVpbTc=\"}}}",
    );
    // Not a login, and an empty one.
    finds_nothing("{\"auth\": \"aGVsbG8gd29ybGQ=\"}");
    finds_nothing("{\"auth\": \"\"}");
    // {"alg":"HS256"} . {"sub":"bob","iat":1} . a signature
    let signature = noise(43, WORD);
    finds(
        SecretKind::Jwt,
        &format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJpYXQiOjF9.{signature}"),
    );
    // {"sub":"1234567890"}
    finds_nothing(&format!(
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{signature}"
    ));
    finds_nothing("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJpYXQiOjF9.");
}

#[test]
fn passwords_in_urls_and_arguments() {
    for url in [
        "https://bob:geheim77@git.corp.net/x.git",
        "postgres://app:s3cr3tpw@10.0.0.7:5432/db",
        "redis://:geheim77@cache:6379",
        "amqp://a:b%2Fc9@[::1]/",
    ] {
        finds(SecretKind::UrlPassword, url);
        finds(SecretKind::UrlPassword, &format!("url: \"{url}\"\n"));
    }
    for url in [
        "https://user:password@git.corp.net/",
        "https://user:pass@example.com/",
        "https://bob:geheim77@www.example.org/",
        "https://bob:${PASSWORD}@git.corp.net/",
        "https://bob:<password>@git.corp.net/",
        "https://%s:%s@%s/",
        "https://bob:***@git.corp.net/",
        "https://bob:changeme@git.corp.net/",
        "https://git.corp.net/a:b@c",
        "https://git.corp.net:8080/@scope/x",
        "https://bob@git.corp.net/",
        "git+ssh://git@host:22/x",
    ] {
        finds_nothing(url);
    }
    for text in [
        "app --password=geheim77",
        "mysqldump --password='x9y8z7!' db",
        "app --db-password=geheim77",
    ] {
        finds(SecretKind::PasswordArgument, text);
    }
    for text in [
        "app --password=$PASSWORD",
        "app --password=PASSWORD",
        "app --password=<password>",
        "app --password=\"$(cat x)\"",
        "password=geheim77",
        "  --password=ARG  the password",
    ] {
        finds_nothing(text);
    }
}

fn named(path: &str, text: &str) -> usize {
    let Some(rule) = SecretRules::named(path.as_bytes()) else {
        return 0;
    };
    let mut count = 0;
    SecretRules::get().in_named(rule, text.as_bytes(), &mut |hit| {
        assert!(!hit.masked.contains("geheim"), "{}", hit.masked);
        count += 1;
    });
    count
}

#[test]
fn files_that_are_made_to_hold_secrets() {
    for (path, text, count) in [
        ("root/.netrc", "machine a\n login b\n password geheim1\n", 1),
        (
            ".netrc",
            "machine a login b password geheim1 machine c login d password geheim2",
            2,
        ),
        (
            "root/.pgpass",
            "# x\ndb:5432:app:bob:geheim1\n*:*:*:bob:geheim2\n",
            2,
        ),
        (
            "root/.pypirc",
            "[pypi]\nusername = bob\npassword = geheim1\n",
            1,
        ),
        ("root/.my.cnf", "[client]\npassword=\"geheim1\"\n", 1),
        (
            "root/.npmrc",
            "//r.io/:_password=Z2VoZWlt\nregistry=https://r.io/\n",
            1,
        ),
        (
            "root/.kube/config",
            "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTg==\n",
            1,
        ),
        (
            "etc/shadow",
            "root:*:1::\nbob:$6$saltsalt$geheimgeheim:1::\nx:!:1\ny:!!:1\n",
            1,
        ),
        ("srv/.htpasswd", "bob:$apr1$saltsalt$geheimgeheim\n", 1),
        (
            "app/.env",
            "# DB_PASSWORD=geheim1\nDB_PASSWORD=geheim1\nexport API_KEY='geheim2'\nDEBUG=1\nTOKEN=${X}\n",
            2,
        ),
        ("root/.netrc", "machine a login b password <password>\n", 0),
        ("app/.env.example", "DB_PASSWORD=geheim1\n", 0),
        ("app/env", "DB_PASSWORD=geheim1\n", 0),
        ("x.netrc", "machine a login b password geheim1\n", 0),
    ] {
        assert_eq!(named(path, text), count, "{path}: {text}");
    }
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let mut names: Vec<&str> = SecretKind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SecretKind::ALL.len());
}
