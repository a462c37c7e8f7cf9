//! The table of rules: what secrets in files look like.
//!
//! Facts about prefixes and lengths: GitHub's "About authentication to GitHub" (token prefixes), GitLab's "Token
//! overview", npm's and `PyPI`'s announcements of their formats, AWS IAM's "Unique identifiers", Stripe's "API
//! keys", Slack's "Token types", Docker's `config.json`, RFC 7468 (PEM), RFC 7519 (JWT), RFC 9580 (PGP), `PuTTY`'s
//! manual (appendix C), and, for facts alone, the rules that
//! gitleaks and detect-secrets publish.

use super::kind::SecretKind;

/// What else a match has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Also {
    /// A token: nothing that could belong to it before it, and enough different characters.
    Token,
    /// Nothing else.
    Nothing,
    /// The value in group 1 is not a placeholder.
    Value,
    /// The value in group 1 is that of an option, and not a placeholder.
    Argument,
    /// A `user:password` in Base64.
    Login,
    /// A JSON web token, but not the one that manuals show.
    Jwt,
    /// A URL: a scheme before it, and a password that is not a placeholder.
    Url,
}

/// A rule: its kind, the literals, the expression behind them, how much of a match is shown, what else.
pub(super) struct Rule(
    pub(super) SecretKind,
    pub(super) &'static [&'static str],
    pub(super) &'static str,
    pub(super) usize,
    pub(super) Also,
);

/// An expression begins where the literal does.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule(SecretKind::PrivateKey, &["-----BEGIN "],
        r"-----BEGIN ((?:[A-Z0-9]{2,10} ){0,2})PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn])*(?:[A-Za-z-]{4,20}: [^\n\\]{0,200}(?:\s|\\[rn])+){0,4}(?:[A-Za-z0-9+/=]{24,}(?:\s|\\[rn])*)+",
        0, Also::Nothing),
    Rule(SecretKind::PuttyKey, &["PuTTY-User-Key-File-"],
        r"PuTTY-User-Key-File-[123]: [a-z0-9@.-]{3,40}\r?\n(?s:.{0,3900}?)Private-Lines: [0-9]{1,4}\r?\n[A-Za-z0-9+/=]{16}",
        0, Also::Nothing),
    Rule(SecretKind::AgeKey, &["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", 16, Also::Token),
    Rule(SecretKind::AwsAccessKey, &["AKIA", "ASIA"], r"A[KS]IA[A-Z2-7]{16}", 4, Also::Token),
    Rule(SecretKind::AwsSecretKey, &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey"],
        r#"(?:(?i:aws_secret_access_key)|SecretAccessKey)["']?[ \t]{0,8}[=:][ \t]{0,8}["']?([A-Za-z0-9/+]{40})"#, 0, Also::Value),
    Rule(SecretKind::AzureStorageKey, &["AccountKey="], r"AccountKey=([A-Za-z0-9+/]{86}==)", 0, Also::Value),
    Rule(SecretKind::GcpServiceAccount, &["\"private_key_id\""], r#""private_key_id"\s{0,8}:\s{0,8}"([0-9a-f]{40})""#, 0, Also::Value),
    Rule(SecretKind::GoogleApiKey, &["AIza"], r"AIza[0-9A-Za-z_-]{35}", 4, Also::Token),
    Rule(SecretKind::GoogleOauthSecret, &["GOCSPX-"], r"GOCSPX-[0-9A-Za-z_-]{28}", 7, Also::Token),
    Rule(SecretKind::GithubToken, &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"gh[pousr]_[0-9A-Za-z]{36}", 4, Also::Token),
    Rule(SecretKind::GithubToken, &["github_pat_"], r"github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}", 11, Also::Token),
    Rule(SecretKind::GitlabToken, &["glpat-", "gldt-", "glrt-", "glptt-"], r"gl(?:pat|dt|rt|ptt)-[0-9A-Za-z_-]{20,64}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?", 5, Also::Token),
    Rule(SecretKind::SlackToken, &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-"], r"xox[bpars]-[0-9]{8,14}-[0-9A-Za-z-]{20,160}", 5, Also::Token),
    Rule(SecretKind::SlackToken, &["xapp-1-"], r"xapp-1-[A-Z0-9]{8,14}-[0-9]{8,14}-[0-9a-f]{64}", 7, Also::Token),
    Rule(SecretKind::SlackWebhook, &["hooks.slack.com/services/"], r"hooks\.slack\.com/services/T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[0-9A-Za-z]{24}", 25, Also::Token),
    Rule(SecretKind::NpmToken, &["npm_"], r"npm_[0-9A-Za-z]{36}", 4, Also::Token),
    Rule(SecretKind::NpmToken, &[":_authToken"], r#":_authToken[ \t]{0,8}=[ \t]{0,8}["']?([0-9A-Za-z._~+/=-]{12,512})"#, 0, Also::Value),
    Rule(SecretKind::PypiToken, &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"], r"pypi-Ag[0-9A-Za-z_-]{60,600}", 5, Also::Token),
    Rule(SecretKind::RubygemsKey, &["rubygems_"], r"rubygems_[0-9a-f]{48}", 9, Also::Token),
    Rule(SecretKind::DockerToken, &["dckr_pat_", "dckr_oat_"], r"dckr_[po]at_[0-9A-Za-z_-]{27,32}", 9, Also::Token),
    Rule(SecretKind::DockerAuth, &["\"auth\""], r#""auth"\s{0,8}:\s{0,8}"([A-Za-z0-9+/]{8,2048}={0,2})""#, 0, Also::Login),
    Rule(SecretKind::StripeKey, &["sk_live_", "rk_live_"], r"[sr]k_live_[0-9A-Za-z]{20,120}", 8, Also::Token),
    Rule(SecretKind::SendgridKey, &["SG."], r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}", 3, Also::Token),
    Rule(SecretKind::VaultToken, &["hvs.", "hvb."], r"hv[sb]\.[0-9A-Za-z_-]{90,300}", 4, Also::Token),
    Rule(SecretKind::DigitaloceanToken, &["dop_v1_", "doo_v1_", "dor_v1_"], r"do[por]_v1_[0-9a-f]{64}", 7, Also::Token),
    Rule(SecretKind::ShopifyToken, &["shpat_", "shpca_", "shppa_"], r"shp(?:at|ca|pa)_[0-9a-fA-F]{32}", 6, Also::Token),
    Rule(SecretKind::AiKey, &["sk-ant-api"], r"sk-ant-api[0-9]{2}-[0-9A-Za-z_-]{80,120}", 10, Also::Token),
    Rule(SecretKind::AiKey, &["T3BlbkFJ"], r"T3BlbkFJ[0-9A-Za-z_-]{20,74}", 0, Also::Nothing),
    Rule(SecretKind::HuggingfaceToken, &["hf_"], r"hf_[A-Za-z]{34}", 3, Also::Token),
    Rule(SecretKind::GrafanaToken, &["glsa_"], r"glsa_[0-9A-Za-z]{32}_[0-9a-f]{8}", 5, Also::Token),
    Rule(SecretKind::AtlassianToken, &["ATATT3xFfGF0"], r"ATATT3xFfGF0[0-9A-Za-z_=-]{150,220}", 5, Also::Token),
    Rule(SecretKind::TailscaleKey, &["tskey-"], r"tskey-(?:auth|api|client)-[0-9A-Za-z]{8,32}-[0-9A-Za-z]{20,64}", 6, Also::Token),
    Rule(SecretKind::Jwt, &["eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi"], r"eyJ[0-9A-Za-z_-]{12,600}\.(eyJ[0-9A-Za-z_-]{12,2000})\.[0-9A-Za-z_-]{20,700}", 3, Also::Jwt),
    Rule(SecretKind::UrlPassword, &["://"], r"://[!$%&(-.0-9;=A-Z_a-z~]{0,64}?:([!\$&(-.0-9;=A-Z^_a-z|~%*]{1,128})@([0-9A-Za-z][0-9A-Za-z.-]{1,253}|\[[0-9a-fA-F:]{2,40}\])", 0, Also::Url),
    Rule(SecretKind::PasswordArgument, &["password=", "passwd="], r#"passw(?:or)?d=["']?([!#-&*-;=?-Z^_a-z|~]{6,128})"#, 0, Also::Argument),
];

/// A file that is made to hold secrets: the ends of its path, and where the values are in it.
pub(super) struct NamedFile(
    pub(super) SecretKind,
    pub(super) &'static [&'static str],
    pub(super) &'static str,
);

/// Group 1 is the value.
#[rustfmt::skip]
pub(super) const NAMED: &[NamedFile] = &[
    NamedFile(SecretKind::StoredPassword, &["/.netrc", "/_netrc"], r"(?:^|\s)password\s+(\S{1,256})"),
    NamedFile(SecretKind::StoredPassword, &["/.pgpass"], r"^[^#:\n][^:\n]{0,255}:[^:\n]{0,16}:[^:\n]{0,255}:[^:\n]{0,255}:([^\n]{1,256})$"),
    NamedFile(SecretKind::StoredPassword, &["/.pypirc", "/.my.cnf", "/.s3cfg"], r#"^[ \t]*(?:password|secret_key)[ \t]*[=:][ \t]*["']?([^\s"']{1,256})"#),
    NamedFile(SecretKind::StoredPassword, &["/.npmrc"], r#"^[^#;\n=]{0,255}_(?:auth|password)[ \t]*=[ \t]*["']?([^\s"']{4,512})"#),
    NamedFile(SecretKind::StoredPassword, &["/.kube/config", "/kubeconfig", "/admin.conf"], r#"^[ \t]*(?:client-key-data|token|password):[ \t]*["']?([^\s"']{6,8192})"#),
    NamedFile(SecretKind::PasswordHash, &["/etc/shadow", "/etc/shadow-"], r"^[^:\n]{1,64}:(\$[0-9a-z]{1,8}\$[^:\n]{8,256}|_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13}):"),
    NamedFile(SecretKind::PasswordHash, &["/.htpasswd"], r"^[^:#\n]{1,255}:(\$(?:apr1|2[aby]|5|6)\$[^:\n]{8,256}|\{SHA\}\S{20,60})"),
];

/// The files of `NAME=VALUE` lines that programs read their environment from.
pub(super) const DOTENV: &[&str] = &[
    "/.env",
    "/.env.local",
    "/.env.production",
    "/.env.development",
    "/.envrc",
];
